import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { BlockSource } from "./block-source.ts";
import { throwIfAborted } from "./qcow2-error.ts";

export interface CopyProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface CopyOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** A disk that can be written to; `Qcow2Image` is one. */
export interface BlockTarget {
  readonly sizeBytes: number;
  writeSync(buffer: Uint8Array, offset: number): void;
}

/** How much is read at once: what was just read is in the processor's cache when it is written. */
const STEP_BYTES: number = 256 * 1024;
/** So many steps are read ahead while the disk is waited for. */
const READ_AHEAD = 15;
/** What is zero is left out in pieces of this size, the usual one of a cluster. */
const PIECE_BYTES: number = 64 * 1024;
/** After so many milliseconds other work gets a turn, if no read has to be waited for. */
const MAX_TURN_MS = 5;
/** A disk is asked for its map in windows of this size. */
const WINDOW_BYTES: number = 1024 * 1024 * 1024;

/**
 * Copies a disk into an empty one of at least its size, skipping zeros. It is read ahead, so nobody may write to it meanwhile. The caller flushes.
 * Errors: `ABORTED`, and those of both disks.
 */
export async function copyBlocks(source: BlockSource, target: BlockTarget, options: CopyOptions = {}): Promise<void> {
  const total = source.sizeBytes;
  const buffers = Array.from({ length: READ_AHEAD + 1 }, () => Buffer.allocUnsafeSlow(STEP_BYTES));
  const reading: { readonly part: Buffer; readonly offset: number; readonly done: Promise<Error | undefined> }[] = [];
  let progressed = 0;
  const write = (part: Buffer, offset: number): void => {
    writeNonZero(target, part, offset);
    progressed = offset + part.length;
    options.onProgress?.({ doneBytes: progressed, totalBytes: total });
  };
  const writeFirst = async (): Promise<void> => {
    const first = reading.shift();
    if (first === undefined) return;
    const error = await first.done;
    if (error !== undefined) throw error;
    write(first.part, first.offset);
  };
  try {
    let step = 0;
    let yielded = performance.now();
    for (const { offset, length } of stepsOf(source)) {
      throwIfAborted(options.signal, "copying a disk");
      const part = (buffers[step++ % buffers.length] as Buffer).subarray(0, length);
      // Memory is copied twice here, and on the thread pool as well: without the way there and back it costs half as much.
      const waits = source.readWithoutWaiting ? source.readWithoutWaiting(part, offset) : source.read(part, offset);
      if (waits === undefined && reading.length === 0) write(part, offset);
      else reading.push({ part, offset, done: outcomeOf(waits) });
      if (reading.length > READ_AHEAD) await writeFirst();
      if (performance.now() - yielded > MAX_TURN_MS) {
        await yieldToLoop();
        yielded = performance.now();
      }
    }
    while (reading.length > 0) {
      throwIfAborted(options.signal, "copying a disk");
      await writeFirst();
    }
  } finally {
    // The caller may close the disk now.
    await Promise.all(reading.map(({ done }) => done));
  }
  if (progressed < total) options.onProgress?.({ doneBytes: total, totalBytes: total });
}

/** How a read ends, as a value: it may fail long before anybody waits for it. */
async function outcomeOf(read: Promise<void> | undefined): Promise<Error | undefined> {
  try {
    await read;
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** The stretches of a disk that hold data, in order, each of a step at most and ending where a piece ends. */
function* stepsOf(source: BlockSource): Generator<{ readonly offset: number; readonly length: number }> {
  for (let start = 0; start < source.sizeBytes; start += WINDOW_BYTES) {
    for (const extent of source.map(start, Math.min(WINDOW_BYTES, source.sizeBytes - start))) {
      if (extent.kind !== "data") continue;
      const end = extent.offset + extent.length;
      for (let at = extent.offset; at < end; ) {
        const length = Math.min(STEP_BYTES - (at % PIECE_BYTES), end - at);
        yield { offset: at, length };
        at += length;
      }
    }
  }
}

/** Writes a part but for those of its pieces that are zero. */
function writeNonZero(target: BlockTarget, part: Buffer, offset: number): void {
  let from = 0;
  for (let at = 0; at < part.length; ) {
    const end = Math.min(part.length, at + PIECE_BYTES - ((offset + at) % PIECE_BYTES));
    if (isZero(part, at, end)) {
      if (from < at) target.writeSync(part.subarray(from, at), offset + from);
      from = end;
    }
    at = end;
  }
  if (from < part.length) target.writeSync(from === 0 ? part : part.subarray(from), offset + from);
}

const ZEROES: Buffer = Buffer.alloc(PIECE_BYTES);

/** Whether a part of a buffer is zero. */
export function isZero(buffer: Buffer, from = 0, to: number = buffer.length): boolean {
  for (let at = from; at < to; at += ZEROES.length) {
    const size = Math.min(ZEROES.length, to - at);
    // Most of what is not zero begins so.
    if (buffer[at] !== 0 || buffer.compare(ZEROES, 0, size, at, at + size) !== 0) return false;
  }
  return true;
}
