import { rm } from "node:fs/promises";
import { join } from "node:path";
import { type Hypervisor, hypervisor } from "@vdc-os/core/compute/v1";
import { NbdServer } from "@vdc-os/nbd";
import { sweepVms } from "@vdc-os/plugin-qemu";
import type { CertificationKit } from "@vdc-os/ready";
import type { ComputeInstance, ComputeVolume } from "@vdc-os/ready/compute";

/** The guest: its kernel, initial RAM disk and command line, as JSON. It writes `VDC-READY` on its console. */
const guest = JSON.parse(process.env.VDC_CERTIFY_GUEST ?? "{}") as {
  readonly kernel: string;
  readonly initrd: string;
  readonly commandLine: string;
};

/** What the compute suite is run on: the plugin on this machine, with real VMs and disks that are served over NBD. */
export async function create(kit: CertificationKit): Promise<ComputeInstance> {
  const { kernel, initrd, commandLine } = guest;
  const directory = kit.folder();
  kit.defer(async () => {
    await sweepVms(directory);
    await rm(directory, { recursive: true, force: true });
  });
  const config = { name: "host-1", directory, accelerator: "tcg" };
  let running = await kit.start(hypervisor, { config });
  let disks = 0;
  return {
    implementation: running.implementation,
    spec: {
      cpus: 1,
      memoryBytes: 128 << 20,
      boot: { kind: "kernel", kernel, initrd, commandLine },
      disks: [],
      nics: [],
    },
    greeting: "VDC-READY",
    async reopen(): Promise<Hypervisor> {
      await running.stop();
      running = await kit.start(hypervisor, { config });
      return running.implementation;
    },
    makeVolume(capacityBytes) {
      disks += 1;
      return serve(kit, join(directory, "run", `${disks}.nbd`), capacityBytes);
    },
  };
}

/** A disk of zeroes in memory, served over NBD. */
async function serve(kit: CertificationKit, path: string, sizeBytes: number): Promise<ComputeVolume> {
  let content = Buffer.alloc(sizeBytes);
  const server = new NbdServer();
  server.addExport({
    name: "disk",
    backend: {
      // Who connects after it was grown sees it so.
      get sizeBytes() {
        return content.length;
      },
      read: (target: Buffer, offset: number) => void content.copy(target, 0, offset, offset + target.length),
      write: (source: Buffer, offset: number) => void source.copy(content, offset),
      flush: () => undefined,
    },
  });
  await server.listenUnix(path);
  kit.defer(() => server.close());
  return {
    transport: { kind: "nbd-unix", path, exportName: "disk" },
    read: async () => content,
    write: async (bytes) => content.set(bytes),
    grow: async (toBytes) => {
      content = Buffer.concat([content], toBytes);
    },
  };
}
