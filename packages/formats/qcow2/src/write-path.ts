import { allocateData, backingIsZero, fillOld, releaseData, writeData } from "./guest-data.ts";
import { type ImageCore, type ImageWriter, prepareWriter } from "./image-core.ts";
import type { Run } from "./l2-reader.ts";
import { writeSubclusters } from "./subcluster-write.ts";

/** The largest stretch that is allocated and written in one step. */
const MAX_STEP_BYTES: number = 4 * 1024 * 1024;

/** Stores `buffer` at `offset`. Only the part of a cluster that is not written is copied from below. */
export function writeImage(core: ImageCore, buffer: Uint8Array, offset: number): void {
  const writer = prepareWriter(core);
  for (let done = 0; done < buffer.length; ) {
    const at = offset + done;
    const run = core.mapping.lookup(at, Math.min(buffer.length - done, MAX_STEP_BYTES));
    if (run.kind === "data" && run.inPlace) {
      writeData(core, writer, buffer.subarray(done, done + run.length), run.hostOffset);
      done += run.length;
    } else {
      const wholeBytes = core.geometry.extendedL2 ? wholeClusters(core, at, run.length) : run.length;
      if (wholeBytes > 0) done += writeNew(core, writer, run, buffer.subarray(done, done + wholeBytes), at);
      else done += writeSubclusters(core, writer, buffer.subarray(done, done + run.length), at);
    }
  }
}

/** How many bytes of a range are whole clusters from its beginning on. */
function wholeClusters({ geometry: { clusterSize } }: ImageCore, offset: number, length: number): number {
  return offset % clusterSize === 0 ? length - (length % clusterSize) : 0;
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
  for (let cluster = 0; cluster < allocation.clusters; cluster++, slot.at += core.geometry.l2EntryBytes) {
    const old = core.mapping.referencedBy(slot);
    core.mapping.setData(slot, allocation.offset + cluster * clusterSize);
    if (old) writer.allocator.deferFree(old.offset, old.bytes);
  }
  return size;
}
