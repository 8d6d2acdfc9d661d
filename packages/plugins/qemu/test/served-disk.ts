import { NbdServer } from "@vdc-os/nbd";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";

/** A raw disk in memory, served over NBD on a Unix socket. */
export interface ServedDisk {
  readonly content: Buffer;
  readonly transport: VolumeTransport;
  /** How many writes came. */
  readonly writes: number;
  close(): Promise<void>;
}

/** Serves a disk of zeroes. `onWrite` is called before each write, which waits for it. */
export async function serveDisk(path: string, sizeBytes: number): Promise<ServedDisk> {
  const content = Buffer.alloc(sizeBytes);
  const server = new NbdServer();
  let writes = 0;
  server.addExport({
    name: "disk",
    backend: {
      sizeBytes,
      read: (target: Buffer, offset: number) => void content.copy(target, 0, offset, offset + target.length),
      write: (source: Buffer, offset: number) => {
        writes += 1;
        source.copy(content, offset);
      },
      flush: () => undefined,
    },
  });
  await server.listenUnix(path);
  return {
    content,
    transport: { kind: "nbd-unix", path, exportName: "disk" },
    get writes() {
      return writes;
    },
    close: () => server.close(),
  };
}
