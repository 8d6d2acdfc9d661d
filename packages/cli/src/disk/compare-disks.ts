import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { BlockSource } from "@vdc-os/qcow2";

/** What a comparison found. */
export interface DiskComparison {
  /** Whether both read the same; where one is larger, whether the rest of it is zeroes. */
  readonly same: boolean;
  readonly sizes: readonly [number, number];
  /** The first byte that differs. */
  readonly firstDifference?: number;
  /** How many bytes differ. */
  readonly differentBytes: number;
}

/** Options of {@link compareDisks}. */
export interface CompareDisksOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly fraction: number }) => void;
}

const stepBytes = 1024 * 1024;
const windowBytes = 1024 * stepBytes;

/** Compares what two disks read as. Where both are known to read as zeroes, nothing is read. Memory: 2 MiB. */
export async function compareDisks(
  first: BlockSource,
  second: BlockSource,
  options: CompareDisksOptions = {},
): Promise<DiskComparison> {
  const { signal, onProgress } = options;
  const total = Math.max(first.sizeBytes, second.sizeBytes);
  const buffers = [Buffer.alloc(stepBytes), Buffer.alloc(stepBytes)] as const;
  let firstDifference: number | undefined;
  let differentBytes = 0;
  for (let window = 0; window < total; window += windowBytes) {
    const end = Math.min(total, window + windowBytes);
    const data = [stepsWithData(first, window, end), stepsWithData(second, window, end)] as const;
    for (let at = window; at < end; at += stepBytes) {
      const step = (at - window) / stepBytes;
      if (!data[0].has(step) && !data[1].has(step)) continue;
      signal?.throwIfAborted();
      const length = Math.min(stepBytes, end - at);
      const [a, b] = [buffers[0].subarray(0, length), buffers[1].subarray(0, length)];
      await Promise.all([readPadded(first, a, at), readPadded(second, b, at)]);
      if (!a.equals(b)) {
        for (let index = 0; index < length; index++) {
          if (a[index] === b[index]) continue;
          firstDifference ??= at + index;
          differentBytes++;
        }
      }
      onProgress?.({ fraction: (at + length) / total });
      await yieldToLoop();
    }
  }
  const sizes = [first.sizeBytes, second.sizeBytes] as const;
  if (firstDifference === undefined) return { same: true, sizes, differentBytes };
  return { same: false, sizes, firstDifference, differentBytes };
}

/** Which steps of a window a disk may hold data in. */
function stepsWithData(disk: BlockSource, from: number, to: number): ReadonlySet<number> {
  const steps = new Set<number>();
  const end = Math.min(to, disk.sizeBytes);
  if (from >= end) return steps;
  for (const { offset, length, kind } of disk.map(from, end - from)) {
    if (kind !== "data") continue;
    const last = Math.floor((offset + length - 1 - from) / stepBytes);
    for (let step = Math.floor((offset - from) / stepBytes); step <= last; step++) steps.add(step);
  }
  return steps;
}

/** Fills a buffer from a disk; after its end with zeroes. */
async function readPadded(disk: BlockSource, buffer: Buffer, offset: number): Promise<void> {
  const length = Math.max(0, Math.min(buffer.length, disk.sizeBytes - offset));
  if (length > 0) await disk.read(buffer.subarray(0, length), offset);
  buffer.fill(0, length);
}
