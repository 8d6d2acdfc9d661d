import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { BlockSource } from "./block-source.ts";
import type { CopyOptions } from "./copy-blocks.ts";
import { Qcow2Error, throwIfAborted } from "./qcow2-error.ts";

/** A disk that stores whole clusters compressed; `Qcow2Image` is one. */
export interface CompressingTarget {
  readonly sizeBytes: number;
  readonly clusterSizeBytes: number;
  writeCompressed(buffer: Uint8Array, offset: number): Promise<void>;
}

const STEP_BYTES: number = 2 * 1024 * 1024;

/**
 * Copies a disk into an empty one of the same size, compressed. What the source does not hold as data is left out. The caller flushes.
 * Errors: `ABORTED`, `INVALID_ARGUMENT` for sizes that differ, and those of both disks.
 */
export async function copyCompressed(
  source: BlockSource,
  target: CompressingTarget,
  options: CopyOptions = {},
): Promise<void> {
  const totalBytes = source.sizeBytes;
  if (target.sizeBytes !== totalBytes) {
    // The last cluster is only whole when it ends with both disks.
    throw new Qcow2Error(
      "INVALID_ARGUMENT",
      `a disk of ${totalBytes} bytes is not copied into one of ${target.sizeBytes}`,
    );
  }
  const step = Math.max(STEP_BYTES, target.clusterSizeBytes);
  const buffer = Buffer.allocUnsafe(step);
  for (let at = 0; at < totalBytes; at += step) {
    throwIfAborted(options.signal, "copying a disk");
    const length = Math.min(step, totalBytes - at);
    for (const stretch of wholeClusters(source, at, length, target.clusterSizeBytes)) {
      const part = buffer.subarray(0, stretch.length);
      await source.read(part, stretch.offset);
      await target.writeCompressed(part, stretch.offset);
    }
    options.onProgress?.({ doneBytes: at + length, totalBytes });
    await yieldToLoop();
  }
}

/** The clusters of a range that hold data, neighbours together. */
function wholeClusters(
  source: BlockSource,
  offset: number,
  length: number,
  clusterSize: number,
): { offset: number; length: number }[] {
  const stretches: { offset: number; length: number }[] = [];
  const end = offset + length;
  for (const extent of source.map(offset, length)) {
    if (extent.kind !== "data") continue;
    const last = stretches.at(-1);
    const from = Math.max(extent.offset - (extent.offset % clusterSize), last ? last.offset + last.length : offset);
    const to = Math.min(end, Math.ceil((extent.offset + extent.length) / clusterSize) * clusterSize);
    if (to <= from) continue;
    if (last && last.offset + last.length === from) last.length += to - from;
    else stretches.push({ offset: from, length: to - from });
  }
  return stretches;
}
