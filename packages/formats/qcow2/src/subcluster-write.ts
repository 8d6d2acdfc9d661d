import type { ImageCore, ImageWriter } from "./image-core.ts";
import { readImage } from "./read-path.ts";
import { ALL_SUBCLUSTERS, subclusterMask } from "./subcluster.ts";
import { allocateData, fillOld, releaseData, writeData } from "./guest-data.ts";

/**
 * Writes into one cluster of an image with extended L2 entries, and returns how many bytes were done. Only what is left of the first and the
 * last subcluster is copied from below; the other subclusters stay as they are. The table entry changes last.
 */
export function writeSubclusters(core: ImageCore, writer: ImageWriter, data: Uint8Array, offset: number): number {
  const { clusterSize, subclusterSize } = core.geometry;
  // Before the allocation: it may itself allocate, and may wait for a barrier.
  const slot = core.mapping.slotForWrite(offset);
  const within = offset % clusterSize;
  const start = offset - within;
  const size = Math.min(data.length, clusterSize - within);
  const first = Math.floor(within / subclusterSize);
  const end = Math.ceil((within + size) / subclusterSize);
  const touched = subclusterMask(first, end);
  const old = core.mapping.subclusters(slot, offset);
  const inPlace = old.hostOffset !== undefined && old.inPlace;
  // What the new host cluster must hold besides: everything that the old one held and that is not shared by reference.
  const kept = inPlace ? 0 : old.compressed ? ALL_SUBCLUSTERS : old.allocated;
  const zero = (old.zero & ~touched) >>> 0;
  if (inPlace && old.hostOffset !== undefined) {
    writeStretch(core, writer, { data: data.subarray(0, size), offset, first, end, hostOffset: old.hostOffset });
    core.mapping.setSubclusters(slot, old.hostOffset, (old.allocated | touched) >>> 0, zero);
    return size;
  }
  const allocation = allocateData(core, writer, start, 1);
  try {
    if ((kept & ~touched) === 0) {
      writeStretch(core, writer, { data: data.subarray(0, size), offset, first, end, hostOffset: allocation.offset });
    } else {
      const cluster = Buffer.alloc(clusterSize);
      readImage(core, cluster.subarray(0, Math.min(clusterSize, core.virtualSizeBytes - start)), start);
      cluster.set(data.subarray(0, size), within);
      writeData(core, writer, cluster, allocation.offset);
    }
  } catch (error) {
    releaseData(core, writer, allocation);
    throw error;
  }
  const freed = core.mapping.referencedBy(slot);
  core.mapping.setSubclusters(slot, allocation.offset, (kept | touched) >>> 0, zero);
  if (freed) writer.allocator.deferFree(freed.offset, freed.bytes);
  return size;
}

interface Stretch {
  readonly data: Uint8Array;
  readonly offset: number;
  /** The subclusters that the data touches: `first` to `end - 1`. */
  readonly first: number;
  readonly end: number;
  /** Of the cluster. */
  readonly hostOffset: number;
}

/** Writes whole subclusters: the data, and around it what they hold now. */
function writeStretch(core: ImageCore, writer: ImageWriter, stretch: Stretch): void {
  const { clusterSize, subclusterSize } = core.geometry;
  const { data, offset, first, end, hostOffset } = stretch;
  const within = offset % clusterSize;
  const head = within - first * subclusterSize;
  const tail = end * subclusterSize - within - data.length;
  if (head === 0 && tail === 0) {
    writeData(core, writer, data, hostOffset + within);
    return;
  }
  const whole = Buffer.allocUnsafe(head + data.length + tail);
  fillOld(core, whole.subarray(0, head), offset - head, false);
  whole.set(data, head);
  fillOld(core, whole.subarray(head + data.length), offset + data.length, false);
  writeData(core, writer, whole, hostOffset + within - head);
}
