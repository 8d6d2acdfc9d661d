import { setImmediate as yieldToLoop } from "node:timers/promises";
import { type CopyOptions, isZero } from "./copy-blocks.ts";
import type { ImageCore } from "./image-core.ts";
import { prepareWriter } from "./image-core.ts";
import { throwIfAborted } from "./qcow2-error.ts";
import { mapImage, readImage } from "./read-path.ts";
import { assertNoSnapshots, writeBackingReference } from "./rebase.ts";
import { writeImage } from "./write-path.ts";

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
