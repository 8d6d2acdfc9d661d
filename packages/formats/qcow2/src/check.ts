import { type FileLayer, nodeFileLayer } from "./file-layer.ts";
import { assertSupported, type Header, readHeader } from "./header.ts";
import { type ImageLock, isLockedForWriting, lockForWriting } from "./image-lock.ts";
import { Qcow2Error } from "./qcow2-error.ts";
import { shareWithQemu } from "./qemu-locks.ts";
import { type RepairMode, repairFile } from "./repair.ts";
import { type CheckProblem, type CheckProgress, type Survey, surveyImage } from "./survey.ts";

/** What a check found. The numbers are those of `qemu-img check`. */
export interface CheckResult {
  /** Clusters that are counted more often than they are referenced. */
  readonly leaks: number;
  /** Everything that is not a leak. Zero means that no data is at risk. */
  readonly corruptions: number;
  /** The first hundred findings. */
  readonly problems: readonly CheckProblem[];
  /** Clusters of the disk, and how many of them the image holds. */
  readonly totalClusters: number;
  readonly allocatedClusters: number;
  /** Compressed clusters are among the allocated ones, and among the fragmented ones. */
  readonly compressedClusters: number;
  /** Clusters that do not follow the one before them in the file. */
  readonly fragmentedClusters: number;
  /** Where the last cluster in use ends in the file. */
  readonly imageEndBytes: number;
  /** Findings that a repair removed; the other numbers are what it found. */
  readonly repaired: number;
}

export interface CheckOptions {
  readonly signal?: AbortSignal;
  /** Called now and then, and at the end. */
  readonly onProgress?: (progress: CheckProgress) => void;
  /** Whether an image that somebody writes is refused (`IN_USE`). Defaults to true; what is found in such an image means little. */
  readonly lock?: boolean;
  /** Defaults to the real file system. */
  readonly fileLayer?: FileLayer;
}

/** For an image that is open. */
export type LiveCheckOptions = Pick<CheckOptions, "signal" | "onProgress">;

export interface RepairOptions extends CheckOptions {
  readonly what: RepairMode;
}

export function checkResult(survey: Survey, header: Header, repaired: number): CheckResult {
  const { counts, problems, allocatedClusters, compressedClusters, fragmentedClusters, imageEndBytes } = survey;
  return {
    leaks: counts.leak,
    corruptions: counts["refcount-too-low"] + counts["copied-flag"] + counts["refcount-structure"] + counts.structure,
    problems,
    totalClusters: Math.ceil(header.virtualSizeBytes / header.geometry.clusterSize),
    allocatedClusters,
    compressedClusters,
    fragmentedClusters,
    imageEndBytes,
    repaired,
  };
}

/**
 * Compares every reference in an image with every refcount. Opens neither a backing nor a data file, and changes nothing.
 * Memory: some five bytes for each cluster in use. Errors: `ABORTED`, `IN_USE`, and those of opening a file and of its header.
 */
export async function check(path: string, options: CheckOptions = {}): Promise<CheckResult> {
  const file = (options.fileLayer ?? nodeFileLayer).openSync(path, { write: false });
  try {
    const header = readHeader(file);
    assertSupported(header, path);
    if (options.lock !== false) {
      shareWithQemu(file, false);
      if (isLockedForWriting(path)) throw inUse(path);
    }
    const { signal, onProgress } = options;
    return checkResult(await surveyImage(file, header, { signal, onProgress, yields: true }), header, 0);
  } finally {
    file.closeSync();
  }
}

/**
 * Checks an image and repairs it, from the tables that say where its data is. After `all` it is neither dirty nor marked corrupt.
 *
 * Errors: `CORRUPT` when the tables contradict themselves, so that a repair would have to guess and might lose data: nothing is changed then;
 * `ABORTED`, `IN_USE`, and those of opening a file and of its header.
 */
export async function repair(path: string, options: RepairOptions): Promise<CheckResult> {
  const file = (options.fileLayer ?? nodeFileLayer).openSync(path, { write: true });
  let lock: ImageLock | undefined;
  try {
    const header = readHeader(file);
    assertSupported(header, path);
    if (options.lock !== false) {
      shareWithQemu(file, true);
      lock = lockForWriting(path);
    }
    const { signal, onProgress, what } = options;
    const { found, repaired } = await repairFile(file, header, what, { signal, onProgress, yields: true });
    return checkResult(found, header, repaired);
  } finally {
    file.closeSync();
    lock?.release(!lock.previousOwnerCrashed);
  }
}

function inUse(path: string): Qcow2Error {
  return new Qcow2Error("IN_USE", `'${path}' is open for writing`);
}
