import { mkdtempSync, rmSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { VdcError } from "@vdc-os/core";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import type { BlockClient, StorageInstance } from "@vdc-os/ready/storage";
import { FolderStorage } from "./folder-storage.ts";

/** What the certification suite asks of an author: a fresh provider for each requirement, and a way to reach its volumes. */
export function createInstance(): StorageInstance {
  const directory = mkdtempSync(join(tmpdir(), "vdc-folder-"));
  const openProvider = (): FolderStorage => new FolderStorage({ name: "pool", directory, capacityBytes: 2 ** 30 });
  return {
    implementation: openProvider(),
    hosts: ["alpha", "beta"],
    openTransport,
    // Nothing is kept in memory alone, so a second provider on the folder sees what a kill would leave.
    reopen: async () => openProvider(),
    dispose: () => rmSync(directory, { recursive: true }),
  };
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
