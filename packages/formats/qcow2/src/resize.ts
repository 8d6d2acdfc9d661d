import { writeUint64 } from "./entry.ts";
import { assertVirtualSize, l1EntriesFor } from "./geometry.ts";
import { type ImageCore, prepareWriter, reloadImageCore } from "./image-core.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { readSnapshots } from "./snapshot-table.ts";
import { visitTree } from "./snapshot-tree.ts";
import { writeZeroes } from "./zero-path.ts";

export interface ResizeOptions {
  /** Whether the disk may become smaller: what lies past its new end is discarded for good. Defaults to false. */
  readonly allowShrink?: boolean;
}

/**
 * Changes the size of the disk in steps, each of which leaves a valid image behind. Bitmaps follow; snapshots keep the size that they have.
 * Errors: `INVALID_ARGUMENT`, `TOO_LARGE`, `UNSUPPORTED_FEATURE` where a snapshot does not say its size, `NO_SPACE`.
 */
export function resizeImage(core: ImageCore, virtualSizeBytes: number, options: ResizeOptions): void {
  const writer = prepareWriter(core);
  const { file } = core;
  assertVirtualSize(virtualSizeBytes);
  const oldSize = core.virtualSizeBytes;
  if (virtualSizeBytes === oldSize) return;
  if (virtualSizeBytes < oldSize && options.allowShrink !== true) {
    throw new Qcow2Error(
      "INVALID_ARGUMENT",
      `'${file.path}' has ${oldSize} bytes; shrinking it to ${virtualSizeBytes} discards data and needs 'allowShrink'`,
    );
  }
  l1EntriesFor(virtualSizeBytes, core.geometry);
  if (readSnapshots(file, core.header).some((snapshot) => core.version === 2 || snapshot.diskBytes === undefined)) {
    throw new Qcow2Error(
      "UNSUPPORTED_FEATURE",
      `'${file.path}' has snapshots that do not reliably say how large the disk was, so it cannot be resized`,
    );
  }
  core.bitmaps.begin(writer, { all: true });
  if (virtualSizeBytes < oldSize) shrinkImage(core, virtualSizeBytes);
  else growImage(core, virtualSizeBytes);
  core.bitmaps.resize(core.header, virtualSizeBytes);
  core.bitmaps.store(core, prepareWriter(core));
}

/** A larger L1 table first, then zeros over whatever would show through, then the size, in one sector write. */
function growImage(core: ImageCore, virtualSizeBytes: number): void {
  const writer = prepareWriter(core);
  const { file, mapping, geometry } = core;
  const oldSize = core.virtualSizeBytes;
  const entries = l1EntriesFor(virtualSizeBytes, geometry);
  const mappedBytes = mapping.l1Entries * geometry.l2Coverage;
  writer.barrier.flushSync();
  if (entries > mapping.l1Entries) {
    const old = { offset: mapping.l1Offset, bytes: mapping.l1Entries * 8 };
    const clusters = Math.ceil((entries * 8) / geometry.clusterSize);
    const offset = writer.allocator.allocateContiguous(clusters);
    writer.guard.claim(offset, entries * 8, "L1 table");
    const table = Buffer.alloc(clusters * geometry.clusterSize);
    mapping.l1Bytes.copy(table);
    writer.barrier.noteDataWritten();
    file.writeSync(table, offset);
    writer.barrier.flushSync();
    const pointer = Buffer.alloc(12);
    pointer.writeUInt32BE(entries, 0);
    writeUint64(pointer, offset, 4);
    file.writeSync(pointer, 36);
    writer.barrier.syncSync();
    mapping.replaceL1(table.subarray(0, entries * 8), offset);
    core.header = { ...core.header, l1Entries: entries, l1Offset: offset };
    if (old.bytes > 0) {
      writer.guard.release(old.offset, old.bytes);
      writer.allocator.deferFree(old.offset, old.bytes);
    }
  }
  core.virtualSizeBytes = virtualSizeBytes;
  try {
    // The rest of the old last cluster may hold anything, a longer backing would show through behind it, and the tables may map what was
    // stored past the end of the disk.
    const clusterEnd = Math.ceil(oldSize / geometry.clusterSize) * geometry.clusterSize;
    const shown = Math.max(clusterEnd, core.backing?.sizeBytes ?? 0, mappedBytes);
    writeZeroes(core, oldSize, Math.min(shown, virtualSizeBytes) - oldSize);
    // A data file that is a raw disk by itself has the disk's size.
    if (core.data !== file) core.data.truncateSync(virtualSizeBytes);
    writer.barrier.flushSync();
    writeSize(core, virtualSizeBytes);
  } catch (error) {
    core.virtualSizeBytes = oldSize;
    throw error;
  }
}

/** What lies past the new end is given back before the size changes: a crash in between leaves the old size, and less of the data. */
function shrinkImage(core: ImageCore, virtualSizeBytes: number): void {
  const { file, geometry } = core;
  const { l2Coverage } = geometry;
  const oldSize = core.virtualSizeBytes;
  const tables = Math.ceil(virtualSizeBytes / l2Coverage);
  writeZeroes(core, virtualSizeBytes, Math.min(oldSize, tables * l2Coverage) - virtualSizeBytes);
  prepareWriter(core).barrier.flushAllSync();
  const l1 = Buffer.from(core.mapping.l1Bytes);
  if (l1.length > tables * 8) {
    l1.fill(0, 0, tables * 8);
    const released: number[] = [];
    visitTree(file, core.header, l1, (cluster) => released.push(cluster));
    file.writeSync(Buffer.alloc(l1.length - tables * 8), core.mapping.l1Offset + tables * 8);
    prepareWriter(core).barrier.syncSync();
    reloadImageCore(core);
    prepareWriter(core).allocator.applyFrees(released);
  }
  writeSize(core, virtualSizeBytes);
  core.virtualSizeBytes = virtualSizeBytes;
  if (core.data !== file) core.data.truncateSync(virtualSizeBytes);
  const writer = prepareWriter(core);
  writer.barrier.flushAllSync();
  writer.allocator.trimTail();
}

function writeSize(core: ImageCore, virtualSizeBytes: number): void {
  const size = Buffer.alloc(8);
  writeUint64(size, virtualSizeBytes, 0);
  core.file.writeSync(size, 24);
  prepareWriter(core).barrier.syncSync();
  core.header = { ...core.header, virtualSizeBytes };
}
