import { endianness } from "node:os";
import type { ImageFile } from "./file-layer.ts";
import type { Header } from "./header.ts";
import { readCount } from "./refcount-entry.ts";
import { REFERENCE_CHUNK, SEEN_COPIED, SEEN_SHARED } from "./reference-count.ts";
import type { L2Use, Survey } from "./survey.ts";
import { readTables, wordsOf, wordsOffset } from "./table-words.ts";

function compareOne(survey: Survey, cluster: number, counted: number, clusterSize: number): void {
  const expected = survey.references.get(cluster);
  const leak = counted > expected;
  const text = `the cluster at ${cluster * clusterSize} has refcount ${counted} and ${expected} references`;
  survey.report(leak ? "leak" : "refcount-too-low", text);
  survey.wrongCounts.push(cluster, expected);
}

/** The counts of a block, of whatever width. */
function countsOf(bytes: Buffer, entries: number, bits: number): ArrayLike<number> {
  if (bits === 16 && endianness() === "LE") {
    const copy = Buffer.from(new Uint8Array(bytes).buffer).swap16();
    return new Uint16Array(copy.buffer, copy.byteOffset, entries);
  }
  return Float64Array.from({ length: entries }, (_, entry) => readCount(bytes, entry, bits));
}

/** Whether a flag contradicts a count. */
function contradicts(seen: number, count: number): boolean {
  return (seen & (count === 1 ? SEEN_SHARED : SEEN_COPIED)) !== 0;
}

/** Compares a refcount block; returns whether a copied flag contradicts it. */
export function compareBlock(survey: Survey, header: Header, fileBytes: number, index: number, bytes: Buffer): boolean {
  const { blockEntries, refcountBits, clusterSize } = header.geometry;
  const fileClusters = Math.ceil(fileBytes / clusterSize);
  const stored = countsOf(bytes, blockEntries, refcountBits);
  const first = index * blockEntries;
  let flagsAreWrong = false;
  let lastUsed = -1;
  for (let entry = 0; entry < blockEntries; ) {
    const chunk = survey.references.chunkAt(first + entry);
    const offset = (first + entry) % REFERENCE_CHUNK;
    const stop = Math.min(blockEntries, entry + REFERENCE_CHUNK - offset);
    for (let at = offset; entry < stop; entry++, at++) {
      const counted = stored[entry] ?? 0;
      const expected = chunk?.counts[at] ?? 0;
      if (counted === 0 && expected === 0) continue;
      const cluster = first + entry;
      if (counted !== expected) {
        // A count past the end of the file takes no space, so it is put right but is no finding.
        if (expected === 0 && cluster >= fileClusters) survey.wrongCounts.push(cluster, 0);
        else compareOne(survey, cluster, counted, clusterSize);
      }
      if (cluster < fileClusters) lastUsed = cluster;
      const seen = chunk?.uses[at] ?? 0;
      // A flag may agree with a wrong count; it is wrong once that is put right.
      if (contradicts(seen, counted) || contradicts(seen, expected)) flagsAreWrong = true;
    }
  }
  survey.imageEndBytes = Math.max(survey.imageEndBytes, (lastUsed + 1) * clusterSize);
  return flagsAreWrong;
}

/** References to clusters that no refcount block counts. */
export function compareUncovered(survey: Survey, header: Header): boolean {
  const { blockEntries, clusterSize } = header.geometry;
  let flagsAreWrong = false;
  for (const start of survey.references.chunkStarts()) {
    const chunk = survey.references.chunkAt(start);
    for (let at = 0; chunk && at < REFERENCE_CHUNK; ) {
      const index = Math.floor((start + at) / blockEntries);
      const stop = Math.min(REFERENCE_CHUNK, (index + 1) * blockEntries - start);
      if (survey.blocks.has(index)) at = stop;
      for (; at < stop; at++) {
        const expected = chunk.counts[at] ?? 0;
        if (expected === 0) continue;
        compareOne(survey, start + at, 0, clusterSize);
        survey.imageEndBytes = Math.max(survey.imageEndBytes, (start + at + 1) * clusterSize);
        const seen = chunk.uses[at] ?? 0;
        if (contradicts(seen, 0) || contradicts(seen, expected)) flagsAreWrong = true;
      }
    }
  }
  return flagsAreWrong;
}

/** A second pass, for the places of the flags that are wrong. */
export function findWrongFlags(
  survey: Survey,
  file: ImageFile,
  header: Header,
  tables: ReadonlyMap<number, L2Use>,
): void {
  const { clusterSize, blockEntries, refcountBits, l2EntryBytes } = header.geometry;
  const known = new Map<number, Buffer>();
  const countOf = (cluster: number): number => {
    const index = Math.floor(cluster / blockEntries);
    const offset = survey.blocks.get(index);
    if (offset === undefined) return 0;
    let block = known.get(index);
    if (block === undefined) {
      if (known.size >= 64) known.clear();
      block = Buffer.alloc(clusterSize);
      file.readSync(block, offset);
      known.set(index, block);
    }
    return readCount(block, cluster % blockEntries, refcountBits);
  };
  const look = (position: number, high: number, host: number, external: boolean): void => {
    const cluster = Math.floor(host / clusterSize);
    const copied = high >= 0x8000_0000;
    const expected = external || survey.references.get(cluster) === 1;
    if (copied !== (external || countOf(cluster) === 1)) {
      survey.report("copied-flag", `the copied flag of the cluster at ${host} is wrong`);
    }
    if (copied !== expected) survey.wrongFlags.push({ position, copied: expected });
  };
  const l1 = Buffer.alloc(header.l1Entries * 8);
  file.readSync(l1, header.l1Offset);
  const l1Words = wordsOf(l1);
  for (let at = 0; at < l1Words.length; at += 2) {
    const offset = wordsOffset(l1Words[at] ?? 0, l1Words[at + 1] ?? 0);
    if (offset !== 0) look(header.l1Offset + at * 4, l1Words[at] ?? 0, offset, false);
  }
  const active = [...tables].filter(([, use]) => use.active).map(([offset]) => offset);
  for (const { offset, bytes } of readTables(file, active, clusterSize)) {
    const words = wordsOf(bytes);
    for (let at = 0; at < words.length; at += l2EntryBytes / 4) {
      const high = words[at] ?? 0;
      const low = words[at + 1] ?? 0;
      const host = wordsOffset(high, low);
      if ((high & 0x4000_0000) !== 0 || (host === 0 && high === 0)) continue;
      look(offset + at * 4, high, host, header.dataFile !== undefined);
    }
  }
}
