import { NbdServer } from "@vdc-os/nbd";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";

/** A raw disk in memory, served over NBD on a Unix socket. */
export interface ServedDisk {
  readonly content: Buffer;
  readonly transport: VolumeTransport;
  /** How many writes came. */
  readonly writes: number;
  /** Has those that connect from now on see a larger disk. */
  grow(toBytes: number): void;
  /** Has every write fail from now on. */
  fail(): void;
  close(): Promise<void>;
}

/** Serves a disk of zeroes. */
export async function serveDisk(path: string, sizeBytes: number): Promise<ServedDisk> {
  let content = Buffer.alloc(sizeBytes);
  const server = new NbdServer();
  let writes = 0;
  let fails = false;
  server.addExport({
    name: "disk",
    backend: {
      get sizeBytes() {
        return content.length;
      },
      read: (target: Buffer, offset: number) => void content.copy(target, 0, offset, offset + target.length),
      write: (source: Buffer, offset: number) => {
        if (fails) throw Object.assign(new Error("it is broken"), { code: "EIO" });
        writes += 1;
        source.copy(content, offset);
      },
      flush: () => undefined,
    },
  });
  await server.listenUnix(path);
  return {
    get content() {
      return content;
    },
    grow: (toBytes) => {
      content = Buffer.concat([content], toBytes);
    },
    fail: () => {
      fails = true;
    },
    transport: { kind: "nbd-unix", path, exportName: "disk" },
    get writes() {
      return writes;
    },
    close: () => server.close(),
  };
}
