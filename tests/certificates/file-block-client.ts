import { open, stat } from "node:fs/promises";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import type { BlockClient } from "@vdc-os/ready/storage";

/** Opens the file that a transport names, as a VM monitor would that is not root: root may write to every file. */
export async function openFile(transport: VolumeTransport): Promise<BlockClient> {
  if (transport.kind !== "file") throw new Error(`a transport of kind '${transport.kind}'`);
  const { mode } = await stat(transport.path);
  const file = await open(transport.path, (mode & 0o200) === 0 ? "r" : "r+");
  return {
    async read(offset, length) {
      const data = Buffer.alloc(length);
      const { bytesRead } = await file.read(data, 0, length, offset);
      if (bytesRead < length) throw new Error(`only ${bytesRead} bytes are there`);
      return data;
    },
    async write(offset, data) {
      const { size } = await file.stat();
      if (offset + data.length > size) throw new Error("beyond the end");
      await file.write(data, 0, data.length, offset);
    },
    flush: () => file.datasync(),
    close: () => file.close().catch(() => undefined),
  };
}
