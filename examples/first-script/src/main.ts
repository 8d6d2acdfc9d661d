import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { storageProvider } from "@vdc-os/core/storage/v1";
import fileSecretStore from "@vdc-os/plugin-file-secret-store";
import linkedClones from "@vdc-os/plugin-linked-clones";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import { createDatacenter } from "@vdc-os/sdk";

const directory = await mkdtemp(join(tmpdir(), "vdc-"));
const secrets = { path: join(directory, "secrets"), keyFile: join(directory, "key"), createKeyFile: true };
const dc = await createDatacenter({
  directory,
  mode: "ephemeral", // close() removes the datacenter and its folder
  plugins: [
    use(sqliteStateStore, { config: { directory: join(directory, "state") } }),
    use(fileSecretStore, { config: secrets }),
    use(thinProvisioning, { config: { name: "thin", directory: join(directory, "pool") } }),
    use(linkedClones, { config: { name: "storage", base: "thin" } }),
  ],
});
try {
  const storage = "storage";
  await dc.volumes.createAndWait({ name: "golden", spec: { storage, capacityBytes: 10 * 1024 ** 3 } });
  const content = { kind: "clone", volume: "golden", want: "linked" } as const;
  const clone = await dc.volumes.createAndWait({ name: "web-1", spec: { storage, content } });
  console.log(`'web-1': a ${clone.status.cloneKind} clone of ${clone.status.capacityBytes} bytes`);
  const { provisionedBytes, allocatedBytes } = await dc.kernel.get(storageProvider, storage).capacity({});
  console.log(`the pool: ${provisionedBytes} bytes promised, ${allocatedBytes} bytes taken`);
} finally {
  await dc.close();
}
