import { writeUint64 } from "./entry.ts";
import { assertVirtualSize, l1EntriesFor } from "./geometry.ts";
import { type ImageCore, prepareWriter } from "./image-core.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { writeZeroes } from "./zero-path.ts";

/**
 * Grows an image in steps, each of which leaves a valid image behind: a larger L1 table first, then zeros over whatever would show through,
 * then the size, in one sector write.
 */
export function growImage(core: ImageCore, virtualSizeBytes: number): void {
  const writer = prepareWriter(core);
  const { file, mapping, geometry } = core;
  const oldSize = core.virtualSizeBytes;
  assertVirtualSize(virtualSizeBytes);
  if (virtualSizeBytes < oldSize) {
    throw new Qcow2Error(
      "INVALID_ARGUMENT",
      `'${file.path}' has ${oldSize} bytes and cannot shrink to ${virtualSizeBytes}`,
    );
  }
  if (virtualSizeBytes === oldSize) return;
  const entries = l1EntriesFor(virtualSizeBytes, geometry);
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
    writer.barrier.noteDataWritten();
    file.writeSync(pointer, 36);
    writer.barrier.flushSync();
    mapping.replaceL1(table.subarray(0, entries * 8), offset);
    if (old.bytes > 0) {
      writer.guard.release(old.offset, old.bytes);
      writer.allocator.deferFree(old.offset, old.bytes);
    }
  }
  core.virtualSizeBytes = virtualSizeBytes;
  try {
    // The rest of the old last cluster may hold anything, and a longer backing would show through behind it.
    const clusterEnd = Math.ceil(oldSize / geometry.clusterSize) * geometry.clusterSize;
    const shown = Math.max(clusterEnd, core.backing?.sizeBytes ?? 0);
    writeZeroes(core, oldSize, Math.min(shown, virtualSizeBytes) - oldSize);
    // A data file that is a raw disk by itself has the disk's size.
    if (core.data !== core.file) core.data.truncateSync(virtualSizeBytes);
    writer.barrier.flushSync();
    const size = Buffer.alloc(8);
    writeUint64(size, virtualSizeBytes, 0);
    writer.barrier.noteDataWritten();
    file.writeSync(size, 24);
    writer.barrier.flushSync();
  } catch (error) {
    core.virtualSizeBytes = oldSize;
    throw error;
  }
  core.header = { ...core.header, virtualSizeBytes };
}
