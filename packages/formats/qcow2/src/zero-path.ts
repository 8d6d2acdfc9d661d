import { type ImageCore, type ImageWriter, prepareWriter } from "./image-core.ts";
import { subclusterMask } from "./subcluster.ts";
import { writeImage } from "./write-path.ts";

const ZEROS: Buffer = Buffer.alloc(65536);

function backingEndsBefore(core: ImageCore, offset: number): boolean {
  return core.backing === undefined || core.backing.sizeBytes <= offset;
}

/**
 * Makes a range read as zeros. Whole clusters give their space back; parts of clusters are written.
 */
export function writeZeroes(core: ImageCore, offset: number, length: number): void {
  const writer = prepareWriter(core);
  const { clusterSize, extendedL2 } = core.geometry;
  const end = offset + length;
  // A data file that is a raw disk by itself has to hold the zeros.
  const raw = core.header.dataFile?.raw === true;
  for (let at = offset; at < end; ) {
    const run = core.mapping.lookup(at, end - at);
    const readsZero = run.kind === "zero" || (run.kind === "unallocated" && backingEndsBefore(core, at));
    if (readsZero) {
      at += run.length;
      continue;
    }
    const stop = at + run.length;
    while (at < stop) {
      const clusterEnd = at - (at % clusterSize) + clusterSize;
      // The last cluster counts as whole when the range reaches the end of the disk.
      const whole = at % clusterSize === 0 && (stop >= clusterEnd || stop === core.virtualSizeBytes);
      const part = Math.min(stop, clusterEnd) - at;
      if (raw) writeZeroBytes(core, at, part);
      else if (whole && (core.version === 3 || core.backing === undefined)) dropCluster(core, writer, at);
      else if (extendedL2 && run.kind !== "compressed") zeroSubclusters(core, writer, at, part);
      else writeZeroBytes(core, at, part);
      at += part;
    }
  }
}

export function writeZeroBytes(core: ImageCore, offset: number, length: number): void {
  for (let done = 0; done < length; done += ZEROS.length) {
    writeImage(core, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)), offset + done);
  }
}

/**
 * Gives the whole clusters inside a range back, or subclusters where the image has them; they read as zeros afterwards. Smaller parts are left
 * as they are.
 */
export function discard(core: ImageCore, offset: number, length: number): void {
  const { subclusterSize: unit } = core.geometry;
  // Version 2 cannot hide what lies below a cluster, so there a discard over a backing image keeps everything.
  if (core.version === 2 && core.backing !== undefined) return;
  const end = offset + length;
  const first = Math.ceil(offset / unit) * unit;
  const last = end === core.virtualSizeBytes ? end : end - (end % unit);
  if (first < last) writeZeroes(core, first, last - first);
}

function dropCluster(core: ImageCore, writer: ImageWriter, offset: number): void {
  const slot = core.mapping.slotForWrite(offset);
  const old = core.mapping.referencedBy(slot);
  core.mapping.setEmpty(slot, core.backing !== undefined);
  if (old) writer.allocator.deferFree(old.offset, old.bytes);
}

/**
 * Makes a part of one cluster read as zeros: whole subclusters by their bits, the rest by writing. A host cluster of which nothing is used
 * any more is given back. The cluster must not be compressed.
 */
function zeroSubclusters(core: ImageCore, writer: ImageWriter, offset: number, length: number): void {
  const { clusterSize, subclusterSize } = core.geometry;
  const within = offset % clusterSize;
  const first = Math.ceil(within / subclusterSize);
  // The last subcluster counts as whole when the range reaches the end of the disk.
  const reach = offset + length === core.virtualSizeBytes ? Math.ceil : Math.floor;
  const end = reach((within + length) / subclusterSize);
  if (first >= end) {
    writeZeroBytes(core, offset, length);
    return;
  }
  const head = first * subclusterSize - within;
  const tail = within + length - end * subclusterSize;
  if (head > 0) writeZeroBytes(core, offset, head);
  if (tail > 0) writeZeroBytes(core, offset + length - tail, tail);
  const slot = core.mapping.slotForWrite(offset);
  const old = core.mapping.subclusters(slot, offset);
  const mask = subclusterMask(first, end);
  const allocated = (old.allocated & ~mask) >>> 0;
  const zero = (core.backing === undefined ? old.zero & ~mask : old.zero | mask) >>> 0;
  if (allocated === 0 && old.hostOffset !== undefined) {
    const freed = core.mapping.referencedBy(slot);
    core.mapping.setSubclusters(slot, undefined, 0, zero);
    if (freed) writer.allocator.deferFree(freed.offset, freed.bytes);
  } else {
    core.mapping.setSubclusterBits(slot, allocated, zero);
  }
}
