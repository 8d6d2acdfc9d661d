import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostRuntime } from "@vdc-os/core/host/v1";
import { use } from "@vdc-os/core/kernel";
import { isolated } from "@vdc-os/core/remote";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { localHost } from "@vdc-os/host";
import { NbdClient } from "@vdc-os/nbd";
import distributedSwitch from "@vdc-os/plugin-distributed-switch";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import linkedClones from "@vdc-os/plugin-linked-clones";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import { createDatacenter, type Datacenter } from "@vdc-os/sdk";

// A stranger's script. It needs each kind of process that the packages start: a host's runtime, the switch's data plane and the storage
// server on it, and a plugin in a child process.

const MiB = 1024 * 1024;
const base = await mkdtemp(join(tmpdir(), "vdc-pk-"));
const directory = join(base, "dc");
try {
  const dc = await open();
  try {
    await useStorage(dc);
    await useNetwork(dc);
    await dc.secrets.put({ name: "password", value: "correct horse" });
    const { value } = await dc.secrets.resolve({ name: "password" });
    console.log(`secret: ${value.length} characters`);
    const processes = await dc.kernel.get(hostRuntime, "alpha").listProcesses({});
    console.log(`processes: ${processes.map(({ processId, state }) => `${processId} ${state}`).join(", ")}`);
  } finally {
    await dc.close();
  }
  console.log(`closed: ${existsSync(directory) ? "the folder is there" : "nothing is left"}`);
} finally {
  await rm(base, { recursive: true, force: true });
}

async function open(): Promise<Datacenter> {
  const child = isolated(fileSecretStore, { module: import.meta.resolve("@vdc-os/plugin-file-secret-store") });
  const secrets = { path: join(base, "secrets"), keyFile: join(base, "key"), createKeyFile: true };
  return createDatacenter({
    directory,
    mode: "ephemeral",
    plugins: ({ uid, directory: place }) => [
      use(sqliteStateStore, { config: { directory: join(place, "state") } }),
      use(child, { config: secrets }),
      use(thinProvisioning, { config: { name: "thin", directory: join(place, "pool"), datacenter: uid } }),
      use(linkedClones, { config: { name: "storage", base: "thin" } }),
      use(distributedSwitch, { config: { name: "network", datacenter: uid } }),
    ],
    hosts: [localHost({ name: "alpha", resolveFrom: import.meta.url })],
  });
}

async function useStorage(dc: Datacenter): Promise<void> {
  const storage = "storage";
  await dc.volumes.createAndWait({ name: "golden", spec: { storage, capacityBytes: 64 * MiB } });
  const content = { kind: "clone", volume: "golden", want: "linked" } as const;
  const clone = await dc.volumes.createAndWait({ name: "web-1", spec: { storage, content } });
  console.log(`clone: ${clone.status.cloneKind} of ${clone.status.capacityBytes} bytes`);

  const provider = dc.kernel.get(storageProvider, storage);
  const volumeId = clone.status.volumeId ?? "";
  const generation = 1;
  const { transport } = await provider.attachVolume({ volumeId, host: "alpha", access: "readWrite", generation });
  if (transport.kind !== "nbd-unix") throw new Error(`another transport: '${transport.kind}'`);
  const disk = await NbdClient.connect(transport.path, { exportName: transport.exportName });
  const block = Buffer.alloc(4096, 7);
  await disk.write(block, MiB);
  const back = Buffer.alloc(4096);
  await disk.read(back, MiB);
  console.log(`disk: ${back.equals(block) ? "reads what was written" : "lost what was written"}`);
  await disk.close();
  await provider.detachVolume({ volumeId, host: "alpha", generation });

  const { provisionedBytes, allocatedBytes } = await provider.capacity({});
  console.log(`capacity: ${provisionedBytes} bytes promised, ${allocatedBytes} bytes taken`);
}

async function useNetwork(dc: Datacenter): Promise<void> {
  const portGroups = [{ name: "web", policy: { vlan: { kind: "access", id: 10 } } }] as const;
  const spec = { network: "network", hosts: ["alpha"], mtu: 1400, portGroups };
  const { status } = await dc.switches.createAndWait({ name: "fabric", spec }, { timeoutMs: 30_000 });
  console.log(`switch: ${(status.members ?? []).map(({ host, state }) => `${host} ${state}`).join(", ")}`);
}
