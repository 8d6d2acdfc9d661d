import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { BlockSource } from "./block-source.ts";
import type { ImageCore } from "./image-core.ts";
import { prepareWriter } from "./image-core.ts";
import { throwIfAborted } from "./qcow2-error.ts";
import { mapImage, readImage } from "./read-path.ts";
import { assertNoSnapshots, writeBackingReference } from "./rebase.ts";
import { writeImage } from "./write-path.ts";

export interface CopyProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface CopyOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** How much is copied before other work gets a turn. */
const STEP_BYTES: number = 1024 * 1024;

/** `assertOpen` is asked again after each wait. */
export interface FlattenOptions extends CopyOptions {
  readonly assertOpen: () => void;
}

/**
 * Copies up what only lower layers hold, then drops the reference to them. Each step is done in one go, so writes that come between steps are
 * never overwritten. Errors: `INVALID_ARGUMENT` with snapshots, which need what is below.
 */
export async function flattenImage(core: ImageCore, options: FlattenOptions): Promise<void> {
  prepareWriter(core);
  assertNoSnapshots(core);
  const { clusterSize } = core.geometry;
  const step = Math.max(STEP_BYTES, clusterSize);
  const buffer = Buffer.allocUnsafe(step);
  for (let at = 0; at < core.virtualSizeBytes; ) {
    throwIfAborted(options.signal, `flattening '${core.file.path}'`);
    const wanted = Math.min(core.virtualSizeBytes - at, step * 64);
    let copied = 0;
    let end = at + wanted;
    for (const extent of mapImage(core, at, wanted)) {
      if (extent.kind !== "data" || extent.depth === 0) continue;
      for (let done = 0; done < extent.length; ) {
        const length = Math.min(step, extent.length - done);
        const part = buffer.subarray(0, length);
        readImage(core, part, extent.offset + done);
        if (!isZero(part)) writeImage(core, part, extent.offset + done);
        done += length;
        copied += length;
        if (copied >= step) {
          end = extent.offset + done;
          break;
        }
      }
      if (copied >= step) break;
    }
    at = end;
    options.onProgress?.({ doneBytes: at, totalBytes: core.virtualSizeBytes });
    await yieldToLoop();
    options.assertOpen();
  }
  throwIfAborted(options.signal, `flattening '${core.file.path}'`);
  // One may have been made meanwhile.
  assertNoSnapshots(core);
  const old = core.backing;
  writeBackingReference(core, undefined);
  core.backing = undefined;
  await old?.close();
}

/** A disk that can be written to; `Qcow2Image` is one. */
export interface BlockTarget {
  readonly sizeBytes: number;
  writeSync(buffer: Uint8Array, offset: number): void;
}

/** After so many milliseconds other work gets a turn, if no read has to be waited for. */
const MAX_TURN_MS = 5;
/** So many steps are read ahead while one is written. */
const READ_AHEAD = 3;

/**
 * Copies a disk into an empty one of at least its size, skipping zeros. It is read ahead, so nobody may write to it meanwhile. The caller flushes.
 * Errors: `ABORTED`, and those of both disks.
 */
export async function copyBlocks(source: BlockSource, target: BlockTarget, options: CopyOptions = {}): Promise<void> {
  const total = source.sizeBytes;
  const buffers = Array.from({ length: READ_AHEAD + 1 }, () => Buffer.allocUnsafeSlow(STEP_BYTES));
  const reading: { readonly part: Buffer; readonly offset: number; readonly done: Promise<Error | undefined> }[] = [];
  let progressed = 0;
  const writeFirst = async (): Promise<void> => {
    const first = reading.shift();
    if (first === undefined) return;
    const { part, offset, done } = first;
    const error = await done;
    if (error !== undefined) throw error;
    if (!isZero(part)) target.writeSync(part, offset);
    progressed = offset + part.length;
    options.onProgress?.({ doneBytes: progressed, totalBytes: total });
  };
  try {
    let step = 0;
    let yielded = performance.now();
    for (const { offset, length } of stepsOf(source)) {
      throwIfAborted(options.signal, "copying a disk");
      const part = (buffers[step++ % buffers.length] as Buffer).subarray(0, length);
      const done = source.read(part, offset).then(
        () => undefined,
        (error: Error) => error,
      );
      reading.push({ part, offset, done });
      if (reading.length > READ_AHEAD) {
        await writeFirst();
        if (performance.now() - yielded > MAX_TURN_MS) {
          await yieldToLoop();
          yielded = performance.now();
        }
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

/** The stretches of a disk that hold data, in order, each of a step at most. */
function* stepsOf(source: BlockSource): Generator<{ readonly offset: number; readonly length: number }> {
  const window = STEP_BYTES * 1024;
  for (let start = 0; start < source.sizeBytes; start += window) {
    for (const extent of source.map(start, Math.min(window, source.sizeBytes - start))) {
      for (let done = 0; extent.kind === "data" && done < extent.length; done += STEP_BYTES) {
        yield { offset: extent.offset + done, length: Math.min(STEP_BYTES, extent.length - done) };
      }
    }
  }
}

const ZERO_BLOCK: Buffer = Buffer.alloc(STEP_BYTES);

function isZero(part: Buffer): boolean {
  for (let at = 0; at < part.length; at += ZERO_BLOCK.length) {
    const size = Math.min(ZERO_BLOCK.length, part.length - at);
    if (part.compare(ZERO_BLOCK, 0, size, at, at + size) !== 0) return false;
  }
  return true;
}
