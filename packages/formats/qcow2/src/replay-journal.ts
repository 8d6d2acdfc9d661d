import { compressedRange, entryIsCompressed, entryOffset } from "./entry.ts";
import { type ImageCore, prepareWriter } from "./image-core.ts";
import type { MappingRecord } from "./mapping-journal.ts";
import { Qcow2Error } from "./qcow2-error.ts";

/**
 * Puts the entries of a journal into the tables, durably. What they replace is counted still: a repair of everything must follow.
 * Errors: `CORRUPT` for a record that means nothing in this image; nothing has changed then.
 */
export function replayJournal(core: ImageCore, records: readonly MappingRecord[]): void {
  const writer = prepareWriter(core);
  const { clusterSize, clusterBits } = core.geometry;
  const last = new Map<number, Buffer>();
  for (const { guestOffset, entry } of records) {
    const isOffset = Number.isSafeInteger(guestOffset) && guestOffset >= 0 && guestOffset % clusterSize === 0;
    if (!isOffset)
      throw new Qcow2Error("CORRUPT", `the journal of '${core.file.path}' has a record for ${guestOffset}`);
    // Beyond the end: of a part that was cut off since.
    if (guestOffset < core.virtualSizeBytes) last.set(guestOffset, entry);
  }
  const fileBytes = core.file.status().sizeBytes;
  const clusters = new Set<number>();
  for (const entry of last.values()) {
    const range = entryIsCompressed(entry, 0)
      ? compressedRange(entry, 0, clusterBits)
      : { offset: entryOffset(entry, 0) ?? -1, length: clusterSize };
    if (range === undefined || range.offset < 0 || range.offset > fileBytes) {
      throw new Qcow2Error("CORRUPT", `the journal of '${core.file.path}' points out of its file`);
    }
    if (range.offset === 0) continue;
    const first = Math.floor(range.offset / clusterSize);
    const end = Math.ceil((range.offset + range.length) / clusterSize);
    for (let cluster = first; cluster < end; cluster++) clusters.add(cluster);
  }
  // Counted first: none of them may be handed out for a table.
  for (const cluster of clusters) {
    if (!writer.refcounts.covers(cluster)) writer.allocator.addMissingBlock(cluster);
    if (writer.refcounts.get(cluster) === 0) writer.refcounts.set(cluster, 1);
  }
  for (const [guestOffset, entry] of last) core.mapping.restore(core.mapping.slotForWrite(guestOffset), entry);
  writer.barrier.flushAllSync();
}
