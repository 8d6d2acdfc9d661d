import { hashBytes } from "../repository/blob.ts";
import type { Repository } from "../repository/repository.ts";
import type { BlockDevice } from "../source/block-device.ts";
import { chunkCountOf, depthOf } from "../tree/tree-shape.ts";
import { walkTree } from "../tree/walk-tree.ts";

/** Options of {@link writeDisk}. */
export interface WriteDiskOptions {
  readonly repository: Repository;
  /** The root of the disk's tree, in hex. */
  readonly root: string;
  readonly capacityBytes: number;
  readonly device: BlockDevice;
  /** Whether the disk may hold something: then zeroes are written too. */
  readonly overwrite: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (writtenBytes: number, offset: number) => void;
}

const writeBytes = 1024 * 1024;
const writesAhead = 8;

/** Writes a disk's content onto a device, and returns how much that was once it is durable. Memory does not grow with the disk. */
export async function writeDisk(options: WriteDiskOptions): Promise<number> {
  const { repository, device, signal, capacityBytes } = options;
  const { chunkBytes } = repository;
  const chunkCount = chunkCountOf(capacityBytes, chunkBytes);
  const root = Buffer.from(options.root, "hex");
  if (root.length !== hashBytes) throw new TypeError("a root is a hash");
  const most = Math.max(1, writeBytes / chunkBytes);
  const running = new Set<Promise<void>>();
  let failure: unknown;
  let written = 0;
  const submit = async (run: () => Promise<void>): Promise<void> => {
    while (running.size >= writesAhead) await Promise.race(running);
    if (failure !== undefined) throw failure;
    signal.throwIfAborted();
    const one: Promise<void> = run()
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => running.delete(one));
    running.add(one);
  };
  let first = 0;
  let batch: Buffer[] = [];
  const writeBatch = async (): Promise<void> => {
    if (batch.length === 0) return;
    const offset = first * chunkBytes;
    const content = Buffer.concat(batch).subarray(0, capacityBytes - offset);
    first += batch.length;
    batch = [];
    written += content.length;
    await submit(() => device.write(content, offset, signal));
    options.onProgress(written, offset);
  };
  const skipTo = async (chunk: number): Promise<void> => {
    await writeBatch();
    const offset = first * chunkBytes;
    const end = Math.min(chunk * chunkBytes, capacityBytes);
    if (options.overwrite && end > offset) await submit(() => device.writeZeroes(offset, end - offset, signal));
    first = chunk;
  };
  try {
    const read = (hash: Buffer): Buffer => repository.readBlob("node", hash);
    for (const { chunk, hash } of walkTree({ root, depth: depthOf(chunkCount), chunkCount, read })) {
      if (chunk !== first + batch.length || batch.length === most) await skipTo(chunk);
      batch.push(repository.readBlob("chunk", hash));
    }
    await skipTo(chunkCount);
  } finally {
    await Promise.all(running);
  }
  if (failure !== undefined) throw failure;
  await device.flush(signal);
  return written;
}
