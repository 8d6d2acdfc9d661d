import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { NbdClient } from "@vdc-os/nbd";
import type { BlockClient } from "@vdc-os/ready/storage";

/** Connects to a volume that is served over NBD. */
export async function openNbd(transport: VolumeTransport): Promise<BlockClient> {
  if (transport.kind !== "nbd-unix") throw new Error(`a transport of kind '${transport.kind}'`);
  const client = await NbdClient.connect(transport.path, { exportName: transport.exportName });
  return {
    async read(offset, length) {
      const data = Buffer.alloc(length);
      await client.read(data, offset);
      return data;
    },
    write: (offset, data) => client.write(Buffer.from(data), offset),
    discard: (offset, length) => client.trim(offset, length),
    flush: () => client.flush(),
    close: () => client.close().catch(() => undefined),
  };
}
