import { setImmediate as yieldToLoop } from "node:timers/promises";
import { countBitmaps } from "./bitmap-directory.ts";
import {
  compressedRange,
  entryHasReservedBits,
  entryIsCompressed,
  entryIsCopied,
  entryIsEmpty,
  entryOffset,
  readUint64,
  setEntryCopied,
} from "./entry.ts";
import { MAX_REFCOUNT_TABLE_BYTES } from "./geometry.ts";
import { type ImageCore, prepareWriter } from "./image-core.ts";
import { Qcow2Error, throwIfAborted } from "./qcow2-error.ts";
import { readCount } from "./refcount-entry.ts";
import { ReferenceCount } from "./reference-count.ts";
import { readSnapshots } from "./snapshot-table.ts";

/**
 * One finding. `leak`: a cluster is counted more often than it is referenced, which wastes space and nothing else.
 * `refcount-too-low` and `copied-flag` can be repaired; `structure` (an overlap, an impossible pointer) cannot.
 */
export interface CheckProblem {
  readonly kind: "leak" | "refcount-too-low" | "copied-flag" | "structure";
  readonly text: string;
}

export interface CheckResult {
  readonly leaks: number;
  /** Everything that is not a leak. Zero means that no data is at risk. */
  readonly corruptions: number;
  /** The first hundred findings. */
  readonly problems: readonly CheckProblem[];
  readonly dataClusters: number;
  readonly compressedClusters: number;
  /** Findings that a repair removed; the other numbers are what it found. */
  readonly repaired: number;
}

export type RepairMode = "leaks" | "all";

interface Findings {
  readonly problems: CheckProblem[];
  leaks: number;
  corruptions: number;
  structural: number;
  dataClusters: number;
  compressedClusters: number;
  /** Clusters whose count is wrong, with the right one. */
  readonly wrongCounts: { readonly cluster: number; readonly expected: number; readonly leak: boolean }[];
  readonly wrongFlags: { readonly tableOffset: number; readonly at: number; readonly copied: boolean }[];
}

function report(findings: Findings, kind: CheckProblem["kind"], text: string): void {
  if (kind === "leak") findings.leaks++;
  else findings.corruptions++;
  if (kind === "structure") findings.structural++;
  if (findings.problems.length < 100) findings.problems.push({ kind, text });
}

function resultOf(findings: Findings, repaired: number): CheckResult {
  const { leaks, corruptions, problems, dataClusters, compressedClusters } = findings;
  return { leaks, corruptions, problems, dataClusters, compressedClusters, repaired };
}

/** Compares all references with all refcounts. Memory grows with the clusters in use, time with the tables. */
export async function checkImage(core: ImageCore, signal?: AbortSignal): Promise<CheckResult> {
  return resultOf(await survey(core, signal), 0);
}

/** Repairs what can be without touching data. Counts are only lowered when nothing else is wrong. */
export async function repairImage(core: ImageCore, mode: RepairMode, signal?: AbortSignal): Promise<CheckResult> {
  const writer = prepareWriter(core);
  const findings = await survey(core, signal);
  if (findings.structural > 0 || (mode === "leaks" && findings.corruptions > 0)) {
    if (mode === "leaks") return resultOf(findings, 0);
    const text = findings.problems.find((problem) => problem.kind === "structure")?.text;
    throw new Qcow2Error("CORRUPT", `'${core.file.path}' cannot be repaired: ${text}`);
  }
  let repaired = 0;
  for (const wrong of findings.wrongCounts) {
    if (!writer.refcounts.covers(wrong.cluster)) writer.allocator.addMissingBlock(wrong.cluster);
    writer.refcounts.set(wrong.cluster, wrong.expected);
    repaired++;
  }
  writer.barrier.flushSync();
  for (const flag of findings.wrongFlags) {
    const word = Buffer.alloc(8);
    const inL1 = flag.tableOffset === core.mapping.l1Offset;
    if (inL1) setEntryCopied(core.mapping.l1Bytes, flag.at, flag.copied);
    core.file.readSync(word, flag.tableOffset + flag.at);
    setEntryCopied(word, 0, flag.copied);
    core.file.writeSync(word, flag.tableOffset + flag.at);
    repaired++;
  }
  core.mapping.dropCache();
  writer.allocator.rescan();
  if (core.header.features.some((feature) => feature.kind === "incompatible" && feature.bit === 0)) {
    core.file.syncSync();
    const word = Buffer.alloc(4);
    core.file.readSync(word, 76);
    word.writeUInt32BE((word.readUInt32BE(0) & ~1) >>> 0, 0);
    core.file.writeSync(word, 76);
    const features = core.header.features.filter((feature) => feature.kind !== "incompatible" || feature.bit !== 0);
    core.header = { ...core.header, features };
  }
  core.file.syncSync();
  return resultOf(findings, repaired);
}

async function survey(core: ImageCore, signal: AbortSignal | undefined): Promise<Findings> {
  const { file, header, geometry, mapping } = core;
  const { clusterSize } = geometry;
  // Twice: the first barrier frees clusters, the second makes their counts known to the file.
  core.writer?.barrier.flushSync();
  core.writer?.barrier.flushSync();
  const findings: Findings = {
    problems: [],
    leaks: 0,
    corruptions: 0,
    structural: 0,
    dataClusters: 0,
    compressedClusters: 0,
    wrongCounts: [],
    wrongFlags: [],
  };
  const references = new ReferenceCount(clusterSize, file.status().sizeBytes);
  const add = (offset: number, bytes: number, use: Parameters<ReferenceCount["add"]>[2]): boolean => {
    const problem = references.add(offset, bytes, use);
    if (problem !== undefined) report(findings, "structure", problem);
    return problem === undefined;
  };
  /** An open image keeps still while it is looked at; one that cannot change may let other work in between. */
  const pause = async (): Promise<void> => {
    throwIfAborted(signal, `checking '${file.path}'`);
    if (!core.writer) await yieldToLoop();
  };

  add(0, clusterSize, "header");
  const location = Buffer.alloc(12);
  file.readSync(location, 48);
  const tableOffset = readUint64(location, 0) ?? 0;
  const tableBytes = Math.min(location.readUInt32BE(8) * clusterSize, MAX_REFCOUNT_TABLE_BYTES);
  const refcountTable = Buffer.alloc(tableBytes);
  file.readSync(refcountTable, tableOffset);
  add(tableOffset, tableBytes, "refcount table");

  const flags: { tableOffset: number; at: number; host: number; copied: boolean }[] = [];
  const walkTables = async (l1: Buffer, l1Offset: number, active: boolean): Promise<void> => {
    if (l1.length > 0) add(l1Offset, l1.length, "L1 table");
    for (let l1At = 0; l1At < l1.length; l1At += 8) {
      const offset = entryOffset(l1, l1At);
      if (offset === 0) continue;
      await pause();
      if (offset === undefined || offset % clusterSize !== 0) {
        report(findings, "structure", `L1 entry ${l1At / 8} is not valid`);
        continue;
      }
      if (!add(offset, clusterSize, "L2 table")) continue;
      if (active) flags.push({ tableOffset: l1Offset, at: l1At, host: offset, copied: entryIsCopied(l1, l1At) });
      const l2 = Buffer.alloc(clusterSize);
      file.readSync(l2, offset);
      for (let at = 0; at < clusterSize; at += 8) {
        if (entryIsEmpty(l2, at)) continue;
        if (entryIsCompressed(l2, at)) {
          const range = compressedRange(l2, at, geometry.clusterBits);
          if (range === undefined) report(findings, "structure", `L2 entry ${at / 8} at ${offset} is not valid`);
          else add(range.offset, range.length, "compressed data");
          if (active) findings.compressedClusters++;
          continue;
        }
        const host = entryOffset(l2, at);
        if (host === 0) continue;
        if (host === undefined || host % clusterSize !== 0 || entryHasReservedBits(l2, at)) {
          report(findings, "structure", `L2 entry ${at / 8} at ${offset} is not valid`);
          continue;
        }
        add(host, clusterSize, "data");
        if (!active) continue;
        findings.dataClusters++;
        flags.push({ tableOffset: offset, at, host, copied: entryIsCopied(l2, at) });
      }
    }
  };
  await walkTables(mapping.l1Bytes, mapping.l1Offset, true);
  if (header.snapshotCount > 0) {
    const snapshots = readSnapshots(file, header);
    let end = header.snapshotsOffset + header.snapshotCount * 40;
    for (const snapshot of snapshots) {
      const l1 = Buffer.alloc(snapshot.l1Entries * 8);
      file.readSync(l1, snapshot.l1Offset);
      await walkTables(l1, snapshot.l1Offset, false);
      end = Math.max(end, snapshot.endOffset);
    }
    add(header.snapshotsOffset, end - header.snapshotsOffset, "snapshot table");
  }
  countBitmaps(file, header, (offset, bytes) => add(offset, bytes, "bitmap"));

  const blocks: { index: number; offset: number }[] = [];
  for (let at = 0; at < tableBytes; at += 8) {
    const offset = entryOffset(refcountTable, at);
    if (offset === 0) continue;
    if (offset === undefined || offset % clusterSize !== 0) {
      report(findings, "structure", `refcount table entry ${at / 8} is not valid`);
    } else if (add(offset, clusterSize, "refcount block")) {
      blocks.push({ index: at / 8, offset });
    }
  }
  const stored = new Set<number>();
  for (const block of blocks) {
    await pause();
    stored.add(block.index);
    const counts = Buffer.alloc(clusterSize);
    file.readSync(counts, block.offset);
    for (let entry = 0; entry < geometry.blockEntries; entry++) {
      const cluster = block.index * geometry.blockEntries + entry;
      compare(findings, cluster, readCount(counts, entry, geometry.refcountBits), references.get(cluster), clusterSize);
    }
  }
  for (const cluster of references.referenced()) {
    if (!stored.has(Math.floor(cluster / geometry.blockEntries))) {
      compare(findings, cluster, 0, references.get(cluster), clusterSize);
    }
  }
  for (const flag of flags) {
    const copied = references.get(flag.host / clusterSize) === 1;
    if (copied === flag.copied) continue;
    report(findings, "copied-flag", `the copied flag of the cluster at ${flag.host} is wrong`);
    findings.wrongFlags.push({ tableOffset: flag.tableOffset, at: flag.at, copied });
  }
  return findings;
}

function compare(findings: Findings, cluster: number, counted: number, expected: number, clusterSize: number): void {
  if (counted === expected) return;
  const leak = counted > expected;
  const text = `the cluster at ${cluster * clusterSize} has refcount ${counted} and ${expected} references`;
  report(findings, leak ? "leak" : "refcount-too-low", text);
  findings.wrongCounts.push({ cluster, expected, leak });
}
