import { setImmediate as yieldToLoop } from "node:timers/promises";
import { inspect, type Qcow2Image } from "@vdc-os/qcow2";
import { layerName } from "./pool-layout.ts";

/** Options of {@link mergeLayer}. */
export interface MergeLayerOptions {
  /** The layer directly below the image. */
  readonly snapshotId: string;
  /** Where that layer lies. */
  readonly layerPath: string;
  readonly signal?: AbortSignal | undefined;
  /** From 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** How much is copied before other work gets a turn. */
const stepBytes = 1024 * 1024;
const windowBytes = 256 * stepBytes;
const zeroes = Buffer.alloc(stepBytes);

/**
 * Copies into an image what it reads from the layer directly below it, and from that layer alone; then it lies on what that layer lies on, by one
 * sector write. The image may be read and written meanwhile: each step is done in one go, and what it reads as never changes. When it is
 * interrupted, a repeat continues. The caller has opened the image since the layers below it last changed.
 */
export async function mergeLayer(image: Qcow2Image, options: MergeLayerOptions): Promise<void> {
  const { snapshotId, layerPath, signal, onProgress } = options;
  if (image.backing?.path !== layerName(snapshotId)) return;
  const { backing } = await inspect(layerPath);
  const buffer = Buffer.allocUnsafe(stepBytes);
  let sinceYield = 0;
  for (let window = 0; window < image.sizeBytes; window += windowBytes) {
    for (const extent of image.map(window, Math.min(windowBytes, image.sizeBytes - window))) {
      if (extent.depth !== 1 || extent.kind === "hole") continue;
      // Zeroes over nothing need not be kept.
      if (extent.kind === "zero" && backing === undefined) continue;
      for (let done = 0; done < extent.length; ) {
        signal?.throwIfAborted();
        const length = Math.min(stepBytes, extent.length - done);
        copyUp(image, buffer.subarray(0, length), extent.offset + done, snapshotId);
        done += length;
        sinceYield += length;
        if (sinceYield >= stepBytes) {
          sinceYield = 0;
          onProgress?.((extent.offset + done) / image.sizeBytes);
          await yieldToLoop();
        }
      }
    }
    onProgress?.(Math.min(1, (window + windowBytes) / image.sizeBytes));
    await yieldToLoop();
  }
  signal?.throwIfAborted();
  await image.setBackingReference(backing === undefined ? undefined : { path: backing.path, format: "qcow2" });
}

/** Copies what the layer below holds of a range. The map is asked anew: the guest may have written there since. */
function copyUp(image: Qcow2Image, buffer: Buffer, offset: number, snapshotId: string): void {
  for (const extent of image.map(offset, buffer.length)) {
    if (extent.depth !== 1 || extent.kind === "hole") continue;
    const part = buffer.subarray(extent.offset - offset, extent.offset - offset + extent.length);
    if (extent.kind === "zero") {
      image.writeZeroesSync(extent.offset, extent.length);
      continue;
    }
    image.readSync(part, extent.offset);
    if (part.compare(zeroes, 0, part.length) === 0) image.writeZeroesSync(extent.offset, extent.length);
    else image.writeSync(part, extent.offset);
  }
  if (image.backing?.path !== layerName(snapshotId)) throw new Error(`the image lies on '${snapshotId}' no more`);
}
