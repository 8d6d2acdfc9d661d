import type { Allocation } from "./allocator.ts";
import { type ImageCore, type ImageWriter, markCorrupt, prepareWriter } from "./image-core.ts";
import type { Run } from "./l2-reader.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";
import { readImage } from "./read-path.ts";
import { writeSubclusters, zeroSubclusters } from "./subcluster-write.ts";

/** The largest stretch that is allocated and written in one step. */
const MAX_STEP_BYTES: number = 4 * 1024 * 1024;
const ZEROS: Buffer = Buffer.alloc(65536);

/** Stores `buffer` at `offset`. Only the part of a cluster that is not written is copied from below. */
export function writeImage(core: ImageCore, buffer: Uint8Array, offset: number): void {
  const writer = prepareWriter(core);
  for (let done = 0; done < buffer.length; ) {
    const at = offset + done;
    const run = core.mapping.lookup(at, Math.min(buffer.length - done, MAX_STEP_BYTES));
    if (run.kind === "data" && run.inPlace) {
      writeData(core, writer, buffer.subarray(done, done + run.length), run.hostOffset);
      done += run.length;
    } else if (core.geometry.extendedL2) {
      done += writeSubclusters(core, writer, buffer.subarray(done, done + run.length), at);
    } else {
      done += writeNew(core, writer, run, buffer.subarray(done, done + run.length), at);
    }
  }
}

/** Writes guest data to the host. Errors: `CORRUPT` where a table maps a guest cluster onto the image's own metadata. */
export function writeData(core: ImageCore, writer: ImageWriter, data: Uint8Array, hostOffset: number): void {
  if (core.data !== core.file) {
    writeExternal(core, writer, data, hostOffset);
    return;
  }
  const { clusterSize } = core.geometry;
  for (let at = hostOffset - (hostOffset % clusterSize); at < hostOffset + data.length; at += clusterSize) {
    const owner = writer.guard.ownerOf(at);
    if (owner !== undefined) {
      const text = `'${core.file.path}': a guest cluster is mapped onto the ${owner} at ${at}`;
      throw markCorrupt(core, new Qcow2Error("CORRUPT", text));
    }
  }
  writer.barrier.noteDataWritten();
  try {
    core.file.writeSync(data, hostOffset);
  } catch (error) {
    throw toQcow2Error(error, `cannot write '${core.file.path}'`);
  }
}

/** An external data file is never longer than the disk: it may be a raw disk by itself. */
function writeExternal(core: ImageCore, writer: ImageWriter, data: Uint8Array, offset: number): void {
  const inside = Math.max(0, Math.min(data.length, core.virtualSizeBytes - offset));
  writer.barrier.noteDataWritten();
  try {
    core.data.writeSync(data.subarray(0, inside), offset);
  } catch (error) {
    throw toQcow2Error(error, `cannot write '${core.data.path}'`);
  }
}

/**
 * Up to `maximum` neighbouring clusters for the guest cluster at `offset`. In an external data file each has its place already, whose content
 * is unknown.
 */
export function allocateData(core: ImageCore, writer: ImageWriter, offset: number, maximum: number): Allocation {
  if (core.data !== core.file) return { offset, clusters: maximum, zeroed: false };
  try {
    return writer.allocator.allocate(maximum);
  } catch (error) {
    throw toQcow2Error(error, `cannot allocate in '${core.file.path}'`);
  }
}

/** Gives back what `allocateData` gave, before anything pointed to it. */
export function releaseData(core: ImageCore, writer: ImageWriter, allocation: Allocation): void {
  if (core.data === core.file) writer.allocator.release(allocation);
}

/** Writes into newly allocated clusters and returns how many bytes were done. The table entries change last. */
function writeNew(core: ImageCore, writer: ImageWriter, run: Run, data: Uint8Array, offset: number): number {
  const { clusterSize, l2Coverage } = core.geometry;
  const head = offset % clusterSize;
  // Before the allocation: it may itself allocate, and may wait for a barrier.
  const first = core.mapping.slotForWrite(offset);
  const inTable = l2Coverage - (offset % l2Coverage);
  const wanted = Math.min(data.length, inTable);
  const allocation = allocateData(core, writer, offset - head, Math.ceil((head + wanted) / clusterSize));
  const size = Math.min(wanted, allocation.clusters * clusterSize - head);
  const tail = (clusterSize - ((head + size) % clusterSize)) % clusterSize;
  const belowIsZero =
    run.kind === "zero" || (run.kind === "unallocated" && backingIsZero(core, offset - head, head + size + tail));
  try {
    if (allocation.zeroed && belowIsZero) {
      writeData(core, writer, data.subarray(0, size), allocation.offset + head);
    } else if (allocation.clusters === 1) {
      const cluster = Buffer.allocUnsafe(clusterSize);
      fillOld(core, cluster.subarray(0, head), offset - head, belowIsZero);
      cluster.set(data.subarray(0, size), head);
      fillOld(core, cluster.subarray(head + size), offset + size, belowIsZero);
      writeData(core, writer, cluster, allocation.offset);
    } else {
      if (head > 0) {
        const before = Buffer.allocUnsafe(head);
        fillOld(core, before, offset - head, belowIsZero);
        writeData(core, writer, before, allocation.offset);
      }
      writeData(core, writer, data.subarray(0, size), allocation.offset + head);
      if (tail > 0) {
        const after = Buffer.allocUnsafe(tail);
        fillOld(core, after, offset + size, belowIsZero);
        writeData(core, writer, after, allocation.offset + head + size);
      }
    }
  } catch (error) {
    releaseData(core, writer, allocation);
    throw error;
  }
  const slot = { table: first.table, at: first.at };
  for (let cluster = 0; cluster < allocation.clusters; cluster++, slot.at += 8) {
    const old = core.mapping.referencedBy(slot);
    core.mapping.setData(slot, allocation.offset + cluster * clusterSize);
    if (old) writer.allocator.deferFree(old.offset, old.bytes);
  }
  return size;
}

function backingEndsBefore(core: ImageCore, offset: number): boolean {
  return core.backing === undefined || core.backing.sizeBytes <= offset;
}

/** Whether no layer below holds data in a range, so that there is nothing to copy up. */
export function backingIsZero(core: ImageCore, offset: number, length: number): boolean {
  const { backing } = core;
  if (backing === undefined || backing.sizeBytes <= offset) return true;
  const inside = Math.min(length, backing.sizeBytes - offset);
  return backing.map(offset, inside).every((extent) => extent.kind !== "data");
}

/** The present content of a part of a cluster. Past the end of the disk it is zeros, whatever lies below. */
export function fillOld(core: ImageCore, target: Buffer, offset: number, isZero: boolean): void {
  const inside = isZero ? 0 : Math.max(0, Math.min(target.length, core.virtualSizeBytes - offset));
  if (inside > 0) readImage(core, target.subarray(0, inside), offset);
  target.fill(0, inside);
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
