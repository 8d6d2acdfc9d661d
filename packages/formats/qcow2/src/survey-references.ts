import { readBitmapDirectory, readBitmapTable } from "./bitmap-directory.ts";
import { compressedRange } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import type { Header } from "./header.ts";
import { toQcow2Error } from "./qcow2-error.ts";
import { SEEN_COPIED, SEEN_SHARED } from "./reference-count.ts";
import { readSnapshots } from "./snapshot-table.ts";
import type { L2Use, Survey } from "./survey.ts";
import { wordsOf, wordsOffset } from "./table-words.ts";

interface L1Location {
  readonly offset: number;
  readonly entries: number;
  readonly active: boolean;
}

export function surveyL1(
  survey: Survey,
  file: ImageFile,
  header: Header,
  l1: L1Location,
  tables: Map<number, L2Use>,
): void {
  if (l1.entries === 0 || !survey.reference(l1.offset, l1.entries * 8, "L1 table")) return;
  const { clusterSize } = header.geometry;
  const bytes = Buffer.alloc(l1.entries * 8);
  file.readSync(bytes, l1.offset);
  const words = wordsOf(bytes);
  for (let at = 0; at < words.length; at += 2) {
    const high = words[at] ?? 0;
    const low = words[at + 1] ?? 0;
    const offset = wordsOffset(high, low);
    if (offset === 0) continue;
    if ((high & 0x7f00_0000) !== 0 || (low & 0x1ff) !== 0) {
      survey.report("structure", `L1 entry ${at / 2} of the table at ${l1.offset} has reserved bits set`);
    }
    if (offset % clusterSize !== 0) {
      survey.report("structure", `L1 entry ${at / 2} of the table at ${l1.offset} is not cluster-aligned`);
      continue;
    }
    if (!survey.reference(offset, clusterSize, "L2 table")) continue;
    if (l1.active) survey.references.noteFlag(offset / clusterSize, high >= 0x8000_0000);
    const known = tables.get(offset);
    if (known === undefined) tables.set(offset, { weight: 1, active: l1.active });
    else {
      known.weight++;
      known.active ||= l1.active;
    }
  }
}

export function surveySnapshots(survey: Survey, file: ImageFile, header: Header, tables: Map<number, L2Use>): void {
  if (header.snapshotCount === 0) return;
  try {
    const snapshots = readSnapshots(file, header);
    let bytes = 0;
    for (const snapshot of snapshots) {
      if (header.version === 3 && !snapshot.isComplete) {
        survey.report("structure", `snapshot '${snapshot.id}' does not say how large the disk was`);
      }
      const l1 = { offset: snapshot.l1Offset, entries: snapshot.l1Entries, active: false };
      surveyL1(survey, file, header, l1, tables);
      bytes += snapshot.bytes.length;
    }
    survey.reference(header.snapshotsOffset, bytes, "snapshot table");
  } catch (error) {
    survey.report("structure", toQcow2Error(error, "the snapshot table").message);
  }
}

export function surveyBitmaps(survey: Survey, file: ImageFile, header: Header): void {
  try {
    const directory = readBitmapDirectory(file, header);
    if (directory === undefined) return;
    survey.reference(directory.offset, directory.bytes, "bitmap directory");
    for (const entry of directory.entries) {
      survey.reference(entry.tableOffset, entry.tableEntries * 8, "bitmap table");
      for (const offset of readBitmapTable(file, header, entry)) {
        if (offset > 1) survey.reference(offset, header.geometry.clusterSize, "bitmap data");
      }
    }
  } catch (error) {
    survey.report("structure", toQcow2Error(error, "the bitmaps").message);
  }
}

export function surveyRefcountTable(
  survey: Survey,
  file: ImageFile,
  header: Header,
): { index: number; offset: number }[] {
  const { clusterSize } = header.geometry;
  const blocks: { index: number; offset: number }[] = [];
  const bytes = Buffer.alloc(header.refcountTableClusters * clusterSize);
  file.readSync(bytes, header.refcountTableOffset);
  survey.reference(header.refcountTableOffset, bytes.length, "refcount table");
  const words = wordsOf(bytes);
  for (let at = 0; at < words.length; at += 2) {
    const high = words[at] ?? 0;
    const low = words[at + 1] ?? 0;
    if (high === 0 && low === 0) continue;
    const offset = wordsOffset(high, low);
    const index = at / 2;
    if (offset === 0 || offset % clusterSize !== 0) {
      survey.report("refcount-structure", `refcount table entry ${index} is not valid`);
    } else if (survey.references.leavesFile(offset, clusterSize)) {
      survey.report("refcount-structure", `the refcount block at ${offset} lies outside the file`);
    } else {
      const overlap = survey.references.add(offset, clusterSize, "refcount block");
      if (overlap !== undefined) survey.report("refcount-structure", overlap);
      else {
        blocks.push({ index, offset });
        survey.blocks.set(index, offset);
      }
    }
  }
  return blocks;
}

export function surveyL2(survey: Survey, header: Header, tableOffset: number, bytes: Buffer, use: L2Use): void {
  const { clusterSize, clusterBits, l2EntryBytes } = header.geometry;
  const step = l2EntryBytes / 4;
  const words = wordsOf(bytes);
  const external = header.dataFile !== undefined;
  const { fileBytes } = survey.references;
  const alignment = (clusterSize - 1) & 0xffff_fe00;
  let expected = 0;
  for (let at = 0; at < words.length; at += step) {
    const high = words[at] ?? 0;
    const low = words[at + 1] ?? 0;
    if (step === 4 && hasImpossibleBitmap(high, low, words[at + 2] ?? 0, words[at + 3] ?? 0)) {
      survey.report("structure", `L2 entry ${at / step} at ${tableOffset} has an impossible bitmap of subclusters`);
    }
    if (high === 0 && low <= 1) continue;
    if ((high & 0x4000_0000) !== 0) {
      if (external) {
        survey.report(
          "structure",
          `L2 entry ${at / step} at ${tableOffset} is compressed, but the data is in an external file`,
        );
        continue;
      }
      const range = compressedRange(bytes, at * 4, clusterBits);
      if (range === undefined) survey.report("structure", `L2 entry ${at / step} at ${tableOffset} is not valid`);
      else survey.reference(range.offset, range.length, "compressed data", use.weight);
      if (use.active) {
        survey.allocatedClusters++;
        survey.compressedClusters++;
        survey.fragmentedClusters++;
      }
      continue;
    }
    if ((high & 0x3f00_0000) !== 0 || (low & 0x1fe) !== 0) {
      survey.report("structure", `L2 entry ${at / step} at ${tableOffset} has reserved bits set`);
    }
    const host = wordsOffset(high, low);
    if (host === 0 && !external) continue;
    if (host === 0 && (low & 1) !== 0) continue;
    if ((low & alignment) !== 0) {
      survey.report("structure", `L2 entry ${at / step} at ${tableOffset} is not cluster-aligned`);
    }
    if (use.active) {
      survey.allocatedClusters++;
      if (expected !== 0 && host !== expected) survey.fragmentedClusters++;
      expected = host + clusterSize;
    }
    if (external) continue;
    const seen = use.active ? (high >= 0x8000_0000 ? SEEN_COPIED : SEEN_SHARED) : 0;
    // The remainder by the cluster size, a power of two of at most 21 bits, is in the low word.
    if (
      host < fileBytes &&
      (low & alignment) === 0 &&
      survey.references.addData(host / clusterSize, use.weight, seen)
    ) {
      continue;
    }
    if (!survey.reference(host, clusterSize, "data", use.weight)) continue;
    if (use.active) survey.references.noteFlag(Math.floor(host / clusterSize), high >= 0x8000_0000);
  }
}

/** Whether an extended entry has a subcluster that is allocated and zero at once, or one that is allocated in no host cluster. */
function hasImpossibleBitmap(high: number, low: number, zero: number, allocated: number): boolean {
  if ((high & 0x4000_0000) !== 0) return false;
  return (zero & allocated) !== 0 || (allocated !== 0 && high < 0x8000_0000 && wordsOffset(high, low) === 0);
}
