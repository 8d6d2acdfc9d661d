import { open, stat } from "node:fs/promises";
import { createOperationContext, pluginStateChanged, VdcError } from "@vdc-os/core";
import type { Kernel } from "@vdc-os/core/kernel";
import { storageProvider, type VolumeTransport } from "@vdc-os/core/storage/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { BlockClient, StorageInstance } from "@vdc-os/ready/storage";

/** What the certification suite asks of an author: the program, run by a kernel as a datacenter runs it, and a way to reach its volumes. */
export async function create(kit: CertificationKit): Promise<StorageInstance> {
  const config = { name: "pool", directory: kit.folder(), capacityBytes: 2 ** 30 };
  const { implementation, kernel } = await kit.start(storageProvider, { config });
  const findPid = async (): Promise<number> =>
    Number((await implementation.describe({ scope: {} }, createOperationContext())).attributes.pid);
  // Asked for in time: the program answers one call after the other, so who asks first kills what has done all by then.
  let pid = await findPid();
  return {
    implementation,
    hosts: ["alpha", "beta"],
    openTransport,
    async reopen() {
      const again = startedAgain(kernel);
      process.kill(pid, "SIGKILL");
      await again;
      pid = await findPid();
      return implementation;
    },
  };
}

/** Resolves when the kernel has started a program again that ended. */
function startedAgain(kernel: Kernel): Promise<void> {
  return new Promise((resolve) => {
    let down = false;
    const off = kernel.events.on(pluginStateChanged, ({ to }) => {
      if (to === "degraded") down = true;
      if (!down || to !== "ready") return;
      off();
      resolve();
    });
  });
}

/** Stands for the VM monitor: opens the file, for reading alone where its mode says so (root could write to it all the same). */
async function openTransport(transport: VolumeTransport): Promise<BlockClient> {
  if (transport.kind !== "file") throw new VdcError("UNIMPLEMENTED", `there is no client for '${transport.kind}' here`);
  const { mode } = await stat(transport.path);
  const file = await open(transport.path, (mode & 0o200) === 0 ? "r" : "r+");
  return {
    async read(offset, length) {
      const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, offset);
      return buffer.subarray(0, bytesRead);
    },
    async write(offset, data) {
      await file.write(data, 0, data.length, offset);
    },
    flush: () => file.sync(),
    close: () => file.close(),
  };
}
