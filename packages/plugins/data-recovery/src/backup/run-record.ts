import type { BackupDisk, CreateRecoveryPoint, DiskReading } from "@vdc-os/core/backup/v1";
import { isVdcError } from "@vdc-os/core";
import { z } from "zod";
import { keyOf } from "../repository/point-manifest.ts";
import type { RepositoryFolder } from "../repository/repository-folder.ts";
import type { TreeProgress } from "../tree/tree-writer.ts";
import type { CopyCounters } from "./copy-disk.ts";

/** How a disk of a run is read, settled once the snapshots are there. */
export interface DiskPlan {
  readonly reading: DiskReading;
  readonly because?: string;
  readonly capacityBytes: number;
  /** Absent where the volume itself is attached. */
  readonly snapshotId?: string;
  readonly groupSnapshotId?: string;
  /** The checkpoint that was made before the snapshot. */
  readonly checkpoint?: { readonly id: string; readonly name: string };
  /** What a reading of changes is based on, and since which checkpoint. */
  readonly base?: {
    readonly root: string;
    readonly capacityBytes: number;
    readonly dataBytes: number;
    readonly checkpoint: string;
  };
}

/** A run, as it is on disk before its first side effect and until its last one is undone. */
export interface RunRecord {
  readonly input: CreateRecoveryPoint;
  readonly startedAt: number;
  /** New for each beginning: names its snapshots and checkpoints. */
  readonly attempt: string;
  /** Present once all disks are of their moment. */
  readonly taken?: {
    readonly createdAt: number;
    readonly consistency: "group" | "perDisk";
    readonly disks: readonly DiskPlan[];
  };
}

/** How far a disk of a run has come. */
export interface DiskProgress {
  readonly next: number;
  readonly tree: TreeProgress;
  readonly counters: CopyCounters;
  /** Present when the disk is done. */
  readonly root?: string;
}

const hex = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().nonnegative();

const runRecord: z.ZodType<RunRecord> = z.object({
  input: z.object({
    name: z.string(),
    subject: z.string(),
    disks: z.array(
      z.object({
        diskId: z.string(),
        storage: z.string(),
        volumeId: z.string(),
        generation: z.int().exactOptional(),
      }),
    ),
    mode: z.enum(["auto", "full"]).exactOptional(),
    consistency: z.enum(["group", "perDisk"]).exactOptional(),
    labels: z.record(z.string(), z.string()).exactOptional(),
  }),
  startedAt: z.number(),
  attempt: z.string(),
  taken: z
    .object({
      createdAt: z.number(),
      consistency: z.enum(["group", "perDisk"]),
      disks: z.array(
        z.object({
          reading: z.enum(["full", "changed", "compared"]),
          because: z.string().exactOptional(),
          capacityBytes: count,
          snapshotId: z.string().exactOptional(),
          groupSnapshotId: z.string().exactOptional(),
          checkpoint: z.object({ id: z.string(), name: z.string() }).exactOptional(),
          base: z.object({ root: hex, capacityBytes: count, dataBytes: count, checkpoint: z.string() }).exactOptional(),
        }),
      ),
    })
    .exactOptional(),
});

const diskProgress: z.ZodType<DiskProgress> = z.object({
  next: count,
  tree: z.object({
    dataChunks: count,
    storedBytes: count,
    path: z.array(z.object({ index: count, node: z.string(), changed: z.boolean() })).max(8),
  }),
  counters: z.object({ readBytes: count, newBytes: count, storedBytes: count }),
  root: hex.exactOptional(),
});

const maxRecordBytes = 1024 * 1024;

/** The runs that have not ended, as the repository's folder has them. What can't be read is as good as absent: nothing but work depends on it. */
export class RunStore {
  readonly #folder: RepositoryFolder;

  constructor(folder: RepositoryFolder) {
    this.#folder = folder;
  }

  async list(): Promise<readonly RunRecord[]> {
    const runs: RunRecord[] = [];
    for (const key of await this.#folder.list("runs")) {
      const run = await this.#read(`runs/${key}/run.json`, runRecord);
      if (run === undefined) await this.#folder.remove(`runs/${key}`);
      else runs.push(run);
    }
    return runs;
  }

  find(subject: string, name: string): Promise<RunRecord | undefined> {
    return this.#read(`runs/${keyOf(subject, name)}/run.json`, runRecord);
  }

  async save(run: RunRecord): Promise<void> {
    const folder = folderOf(run);
    await this.#folder.makeFolder(folder);
    await this.#folder.write(`${folder}/run.json`, JSON.stringify(run));
  }

  async remove(run: RunRecord): Promise<void> {
    await this.#folder.remove(folderOf(run));
  }

  progress(run: RunRecord, disk: number): Promise<DiskProgress | undefined> {
    return this.#read(`${folderOf(run)}/${run.attempt}-${disk}.json`, diskProgress);
  }

  async saveProgress(run: RunRecord, disk: number, progress: DiskProgress): Promise<void> {
    await this.#folder.write(`${folderOf(run)}/${run.attempt}-${disk}.json`, JSON.stringify(progress));
  }

  async #read<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
    try {
      const text = await this.#folder.read(path, maxRecordBytes);
      return text === undefined ? undefined : schema.parse(JSON.parse(text));
    } catch (error) {
      if (isVdcError(error) && error.code !== "DATA_LOSS") throw error;
      return undefined;
    }
  }
}

/** Whether two lists name the same disks. */
export function sameDisks(a: readonly BackupDisk[], b: readonly BackupDisk[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ diskId, storage, volumeId }, i) => {
      const other = b[i];
      return other?.diskId === diskId && other.storage === storage && other.volumeId === volumeId;
    })
  );
}

function folderOf({ input }: RunRecord): string {
  return `runs/${keyOf(input.subject, input.name)}`;
}
