import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { ImageFile } from "./file-layer.ts";
import type { Header } from "./header.ts";
import { throwIfAborted } from "./qcow2-error.ts";
import { type ClusterUse, ReferenceCount } from "./reference-count.ts";
import { compareBlock, compareUncovered, findWrongFlags } from "./survey-refcounts.ts";
import { surveyBitmaps, surveyL1, surveyL2, surveyRefcountTable, surveySnapshots } from "./survey-references.ts";
import { readTables } from "./table-words.ts";

/**
 * One finding.
 *
 * - `leak`: a cluster is counted more often than it is referenced, which wastes space and nothing else.
 * - `refcount-too-low`, `copied-flag`, `refcount-structure` (a refcount table or block that cannot be): can be repaired from the other tables.
 * - `structure`: an overlap or an impossible pointer. No repair could know what was meant.
 */
export interface CheckProblem {
  readonly kind: "leak" | "refcount-too-low" | "copied-flag" | "refcount-structure" | "structure";
  readonly text: string;
}

/** Where a copied flag is wrong, and what it should be. */
interface WrongFlag {
  readonly position: number;
  readonly copied: boolean;
}

export interface CheckProgress {
  readonly doneTables: number;
  readonly totalTables: number;
}

export interface SurveyOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: CheckProgress) => void) | undefined;
  /** Whether other work gets a turn in between: only where nothing can change the file meanwhile. */
  readonly yields: boolean;
  /** Counts references only: neither the refcount table nor its blocks are looked at. */
  readonly ignoreRefcounts?: boolean;
}

/** Everything that a pass over the tables found. */
export class Survey {
  readonly problems: CheckProblem[] = [];
  readonly counts: Record<CheckProblem["kind"], number> = {
    leak: 0,
    "refcount-too-low": 0,
    "copied-flag": 0,
    "refcount-structure": 0,
    structure: 0,
  };
  readonly references: ReferenceCount;
  allocatedClusters = 0;
  compressedClusters = 0;
  fragmentedClusters = 0;
  imageEndBytes = 0;
  /** Clusters whose count is wrong, each followed by the right count. */
  readonly wrongCounts: number[] = [];
  readonly wrongFlags: WrongFlag[] = [];
  /** Whether an active entry points out of the file, so that its flag has to be looked at by itself. */
  hasDangling = false;
  /** The file offset of each refcount block, by its index in the table. */
  readonly blocks: Map<number, number> = new Map();

  constructor(references: ReferenceCount) {
    this.references = references;
  }

  report(kind: CheckProblem["kind"], text: string): void {
    this.counts[kind]++;
    if (this.problems.length < 100) this.problems.push({ kind, text });
  }

  /** Counts a range that a table references. Returns whether it lies inside the file. */
  reference(offset: number, bytes: number, use: ClusterUse, weight = 1): boolean {
    if (this.references.leavesFile(offset, bytes)) {
      this.hasDangling = true;
      this.report("structure", `the ${use} at ${offset} lies outside the file`);
      return false;
    }
    const overlap = this.references.add(offset, bytes, use, weight);
    if (overlap !== undefined) this.report("structure", overlap);
    return true;
  }
}

/** How an L2 table is used: by how many L1 entries, and whether one of them is the active one. */
export interface L2Use {
  weight: number;
  active: boolean;
}

/**
 * Follows every reference and compares it with the refcounts. Memory: some five bytes for each cluster in use. The file must hold
 * everything (flushed) and must not change meanwhile.
 */
export async function surveyImage(file: ImageFile, header: Header, options: SurveyOptions): Promise<Survey> {
  const { clusterSize } = header.geometry;
  const fileBytes = file.status().sizeBytes;
  const survey = new Survey(new ReferenceCount(clusterSize, fileBytes));
  survey.reference(0, clusterSize, "header");
  const keys = header.encryptionHeader;
  if (keys) survey.reference(keys.offset, keys.length, "encryption header");
  const tables = new Map<number, L2Use>();
  surveyL1(survey, file, header, { offset: header.l1Offset, entries: header.l1Entries, active: true }, tables);
  surveySnapshots(survey, file, header, tables);
  surveyBitmaps(survey, file, header);
  const blocks = options.ignoreRefcounts ? [] : surveyRefcountTable(survey, file, header);

  const totalTables = tables.size + blocks.length;
  let doneTables = 0;
  let paused = performance.now();
  const step = async (): Promise<void> => {
    doneTables++;
    if (performance.now() - paused < 10) return;
    throwIfAborted(options.signal, `checking '${file.path}'`);
    options.onProgress?.({ doneTables, totalTables });
    if (options.yields) await yieldToLoop();
    paused = performance.now();
  };
  throwIfAborted(options.signal, `checking '${file.path}'`);
  for (const { offset, bytes } of readTables(file, [...tables.keys()], clusterSize)) {
    const use = tables.get(offset);
    if (use) surveyL2(survey, header, offset, bytes, use);
    await step();
  }
  if (!options.ignoreRefcounts) {
    const indexes = new Map(blocks.map(({ index, offset }) => [offset, index]));
    let flagsAreWrong = false;
    for (const { offset, bytes } of readTables(file, [...indexes.keys()], clusterSize)) {
      const index = indexes.get(offset);
      if (index !== undefined && compareBlock(survey, header, fileBytes, index, bytes)) flagsAreWrong = true;
      await step();
    }
    flagsAreWrong = compareUncovered(survey, header) || flagsAreWrong;
    if (flagsAreWrong || survey.hasDangling || header.dataFile) findWrongFlags(survey, file, header, tables);
  }
  options.onProgress?.({ doneTables: totalTables, totalTables });
  return survey;
}
