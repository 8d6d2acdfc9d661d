import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { Qcow2Image } from "@vdc-os/qcow2";

/** Options of {@link dropZeroes}. */
export interface DropZeroesOptions {
  readonly signal?: AbortSignal | undefined;
  /** From 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

const stepBytes = 1024 * 1024;
const windowBytes = 256 * stepBytes;

/**
 * Frees the clusters of an image that hold nothing but zeroes, and makes that durable, which gives their space back where the file system can be told.
 * What the image reads as never changes; it may be read and written meanwhile.
 */
export async function dropZeroes(image: Qcow2Image, { signal, onProgress }: DropZeroesOptions): Promise<void> {
  const cluster = image.clusterSizeBytes;
  const step = Math.max(stepBytes, cluster);
  const buffer = Buffer.allocUnsafe(step);
  const zeroes = Buffer.alloc(cluster);
  for (let window = 0; window < image.sizeBytes; window += windowBytes) {
    const end = Math.min(window + windowBytes, image.sizeBytes);
    for (const extent of image.map(window, end - window)) {
      if (extent.kind !== "data" || extent.depth !== 0) continue;
      for (let done = 0; done < extent.length; done += step) {
        signal?.throwIfAborted();
        const part = buffer.subarray(0, Math.min(step, extent.length - done));
        const offset = extent.offset + done;
        image.readSync(part, offset);
        for (let at = 0; at < part.length; at += cluster) {
          const length = Math.min(cluster, part.length - at);
          const isZero = part.compare(zeroes, 0, length, at, at + length) === 0;
          if (isZero) image.writeZeroesSync(offset + at, length);
        }
        await yieldToLoop();
      }
    }
    onProgress?.(end / image.sizeBytes);
  }
  // The first makes the removals durable, the second the counts of what they freed.
  await image.flush();
  await image.flush();
}
