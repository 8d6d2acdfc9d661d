import { open, stat } from "node:fs/promises";

/** What a storage provider says of a volume that is a file. */
interface FileTransport {
  readonly kind: string;
  readonly path?: string;
}

/** A file as a disk is read and written. */
export interface FileClient {
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fails beyond the end. */
  write(offset: number, data: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Opens the file that a transport names, as a VM monitor would that is not root: root may write to every file. */
export async function openFile(transport: FileTransport): Promise<FileClient> {
  if (transport.kind !== "file" || transport.path === undefined)
    throw new Error(`a transport of kind '${transport.kind}'`);
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
    close: () => file.close().catch(() => {}),
  };
}
