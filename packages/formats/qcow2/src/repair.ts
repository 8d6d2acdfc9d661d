import { setEntryCopied, writeUint64 } from "./entry.ts";
import type { ImageFile } from "./file-layer.ts";
import { MAX_REFCOUNT_TABLE_BYTES } from "./geometry.ts";
import { type Header, readHeader } from "./header.ts";
import { CORRUPT_BIT, DIRTY_BIT, writeIncompatibleBits } from "./header-word.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { countPosition, maximumCount, writeCount } from "./refcount-entry.ts";
import { type Survey, type SurveyOptions, surveyImage } from "./survey.ts";

/**
 * What a repair may change.
 *
 * - `leaks`: counts that are too high, and nothing else.
 * - `all`: also counts that are too low, wrong copied flags, and refcount tables that cannot be read.
 */
export type RepairMode = "leaks" | "all";

/** As a `RepairMode`; `after-crash` puts right what an interrupted operation of this engine may leave, and leaves alone what it cannot. */
export type RepairPlan = RepairMode | "after-crash";

/**
 * Repairs a file that nobody else has open, from the tables that say where its data is; those are never changed but for copied flags. Every
 * step leaves an image that is no worse than before, whenever a crash comes. Returns how many findings were put right.
 *
 * Errors: `CORRUPT` for `all`, when the tables contradict themselves so that a repair would have to guess; nothing was changed then.
 */
export async function repairFile(
  file: ImageFile,
  header: Header,
  plan: RepairPlan,
  options: SurveyOptions,
): Promise<{ readonly found: Survey; readonly repaired: number }> {
  const found = await surveyImage(file, header, options);
  const { counts } = found;
  if (counts.structure > 0) {
    if (plan !== "all") return { found, repaired: 0 };
    const text = found.problems.find((problem) => problem.kind === "structure")?.text;
    throw new Qcow2Error("CORRUPT", `'${file.path}' cannot be repaired without losing data: ${text}`, {
      details: { problems: found.problems },
    });
  }
  if (plan !== "all" && (counts["refcount-structure"] > 0 || counts["refcount-too-low"] > 0)) {
    return { found, repaired: 0 };
  }
  if (plan === "leaks" && found.wrongFlags.length > 0) return { found, repaired: 0 };
  let repaired = found.wrongCounts.length / 2 + counts["refcount-structure"];
  const canCorrect = counts["refcount-structure"] === 0 && uncovered(found, header.geometry.blockEntries) === undefined;
  if (canCorrect) correctCounts(file, header, found);
  else {
    const references = await surveyImage(file, header, { ...options, ignoreRefcounts: true });
    rebuildRefcounts(file, header, references);
  }
  file.syncSync();
  const word = Buffer.alloc(8);
  for (const { position, copied } of found.wrongFlags) {
    file.readSync(word, position);
    setEntryCopied(word, 0, copied);
    file.writeSync(word, position);
    repaired++;
  }
  if (found.wrongFlags.length > 0) file.syncSync();
  if (plan === "all") {
    const before = readHeader(file);
    if (writeIncompatibleBits(file, before, { clear: [DIRTY_BIT, CORRUPT_BIT] }) !== before) file.syncSync();
  }
  return { found, repaired };
}

/** A cluster whose count is wrong and that no refcount block counts. */
function uncovered(found: Survey, blockEntries: number): number | undefined {
  for (let at = 0; at < found.wrongCounts.length; at += 2) {
    const cluster = found.wrongCounts[at] ?? 0;
    if (!found.blocks.has(Math.floor(cluster / blockEntries))) return cluster;
  }
  return undefined;
}

function assertCountFits(file: ImageFile, header: Header, cluster: number, count: number): void {
  if (count <= maximumCount(header.geometry.refcountBits)) return;
  throw new Qcow2Error(
    "REFCOUNT_LIMIT",
    `'${file.path}': host cluster ${cluster} has ${count} references, too many to count`,
  );
}

function correctCounts(file: ImageFile, header: Header, found: Survey): void {
  const { blockEntries, refcountBits, clusterSize } = header.geometry;
  const { wrongCounts } = found;
  for (let at = 0; at < wrongCounts.length; at += 2) {
    assertCountFits(file, header, wrongCounts[at] ?? 0, wrongCounts[at + 1] ?? 0);
  }
  const block = Buffer.alloc(clusterSize);
  for (let at = 0; at < wrongCounts.length; ) {
    const index = Math.floor((wrongCounts[at] ?? 0) / blockEntries);
    const offset = found.blocks.get(index) ?? 0;
    file.readSync(block, offset);
    let low = clusterSize;
    let high = 0;
    // Findings come in the order of blocks, so one block's are neighbours.
    for (; Math.floor((wrongCounts[at] ?? -1) / blockEntries) === index; at += 2) {
      const entry = (wrongCounts[at] ?? 0) % blockEntries;
      writeCount(block, entry, refcountBits, wrongCounts[at + 1] ?? 0);
      const position = countPosition(entry, refcountBits);
      low = Math.min(low, position);
      high = Math.max(high, position + Math.max(1, refcountBits / 8));
    }
    file.writeSync(block.subarray(low, high), offset + low);
  }
}

/**
 * Counts everything anew: a new refcount table and new blocks past the end of the file, made durable before the header switches to them in one
 * write of twelve bytes. The old ones become free space.
 */
function rebuildRefcounts(file: ImageFile, header: Header, survey: Survey): void {
  const { clusterSize, blockEntries, refcountBits } = header.geometry;
  const { references } = survey;
  let end = Math.ceil(file.status().sizeBytes / clusterSize);
  for (const cluster of references.referenced()) {
    assertCountFits(file, header, cluster, references.get(cluster));
    if (cluster >= end) end = cluster + 1;
  }
  let blocks = 1;
  let tableClusters = 1;
  for (;;) {
    const neededBlocks = Math.ceil((end + tableClusters + blocks) / blockEntries);
    const neededTable = Math.ceil((neededBlocks * 8) / clusterSize);
    if (neededBlocks === blocks && neededTable === tableClusters) break;
    blocks = Math.max(blocks, neededBlocks);
    tableClusters = Math.max(tableClusters, neededTable);
    if (neededBlocks < blocks) break;
  }
  if (tableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES) {
    throw new Qcow2Error("TOO_LARGE", `'${file.path}' is too large for a refcount table`);
  }
  const tableOffset = end * clusterSize;
  const firstBlock = end + tableClusters;
  const table = Buffer.alloc(tableClusters * clusterSize);
  const block = Buffer.alloc(clusterSize);
  for (let index = 0; index < blocks; index++) {
    block.fill(0);
    for (let entry = 0; entry < blockEntries; entry++) {
      const cluster = index * blockEntries + entry;
      const isNew = cluster >= end && cluster < firstBlock + blocks;
      const count = isNew ? 1 : references.get(cluster);
      if (count > 0) writeCount(block, entry, refcountBits, count);
    }
    writeUint64(table, (firstBlock + index) * clusterSize, index * 8);
    file.writeSync(block, (firstBlock + index) * clusterSize);
  }
  file.writeSync(table, tableOffset);
  file.syncSync();
  const pointer = Buffer.alloc(12);
  writeUint64(pointer, tableOffset, 0);
  pointer.writeUInt32BE(tableClusters, 8);
  file.writeSync(pointer, 48);
  file.syncSync();
}
