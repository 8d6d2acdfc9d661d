import type { ImageFile } from "./file-layer.ts";
import type { Header } from "./header.ts";
import { readCount } from "./refcount-entry.ts";
import type { L2Use, Survey } from "./survey.ts";
import { readTables, wordsOf, wordsOffset } from "./table-words.ts";

function compareOne(survey: Survey, cluster: number, counted: number, clusterSize: number): void {
  const expected = survey.references.get(cluster);
  const leak = counted > expected;
  const text = `the cluster at ${cluster * clusterSize} has refcount ${counted} and ${expected} references`;
  survey.report(leak ? "leak" : "refcount-too-low", text);
  survey.wrongCounts.push(cluster, expected);
}

/** Compares a refcount block; returns whether a copied flag contradicts it. */
export function compareBlock(survey: Survey, header: Header, fileBytes: number, index: number, bytes: Buffer): boolean {
  const { blockEntries, refcountBits, clusterSize } = header.geometry;
  const { references } = survey;
  const fileClusters = Math.ceil(fileBytes / clusterSize);
  let flagsAreWrong = false;
  for (let entry = 0, cluster = index * blockEntries; entry < blockEntries; entry++, cluster++) {
    const counted = refcountBits === 16 ? bytes.readUInt16BE(entry * 2) : readCount(bytes, entry, refcountBits);
    const expected = references.get(cluster);
    if (counted === 0 && expected === 0) continue;
    if (counted !== expected) {
      // A count past the end of the file takes no space, so it is put right but is no finding.
      if (expected === 0 && cluster >= fileClusters) survey.wrongCounts.push(cluster, 0);
      else compareOne(survey, cluster, counted, clusterSize);
    }
    if (cluster < fileClusters) survey.imageEndBytes = Math.max(survey.imageEndBytes, (cluster + 1) * clusterSize);
    // A flag may agree with a wrong count; it is wrong once that is put right.
    if (references.flagIsWrong(cluster, counted === 1) || references.flagIsWrong(cluster, expected === 1)) {
      flagsAreWrong = true;
    }
  }
  return flagsAreWrong;
}

/** References to clusters that no refcount block counts. */
export function compareUncovered(survey: Survey, header: Header): boolean {
  const { blockEntries, clusterSize } = header.geometry;
  let flagsAreWrong = false;
  for (const cluster of survey.references.referenced()) {
    if (survey.blocks.has(Math.floor(cluster / blockEntries))) continue;
    compareOne(survey, cluster, 0, clusterSize);
    survey.imageEndBytes = Math.max(survey.imageEndBytes, (cluster + 1) * clusterSize);
    const isOne = survey.references.get(cluster) === 1;
    if (survey.references.flagIsWrong(cluster, false) || survey.references.flagIsWrong(cluster, isOne)) {
      flagsAreWrong = true;
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
