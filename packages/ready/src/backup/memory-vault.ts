import { createHash } from "node:crypto";
import type { CreateRecoveryPoint, RecoveryPoint, RestoredDisk, RestoreTarget } from "@vdc-os/core/backup/v1";

/** The size of the parts into which the reference cuts disks. */
export const memoryChunkBytes = 65_536;

/** What a disk consists of: the hash of each chunk; of zeroes it is empty. */
export type MemoryContent = readonly string[];

/** A point of a {@link MemoryVault}. */
export interface MemoryPoint {
  readonly point: RecoveryPoint;
  readonly contents: readonly MemoryContent[];
}

/** A run of a {@link MemoryVault} that has not ended. */
export interface MemoryRun {
  readonly input: CreateRecoveryPoint;
  readonly startedAt: number;
  /** Names its snapshots. */
  readonly attempt: string;
  createdAt: number | undefined;
  consistency: "group" | "perDisk";
  /** By disk: the snapshot that is read, or none where the volume itself is. */
  snapshotIds: (string | undefined)[];
  groupSnapshotId: string | undefined;
  /** By disk: the chunks that have been read. */
  readonly contents: string[][];
  /** By disk: what was read of it, and what of that was new. */
  readonly counts: { readBytes: number; newBytes: number }[];
}

/** A restore into one target. */
export interface MemoryRestore {
  readonly recoveryPointId: string;
  readonly diskId: string;
  readonly target: RestoreTarget;
  /** The volume that it made or writes to. */
  volumeId: string | undefined;
  generation: number;
  done: RestoredDisk | undefined;
}

/** What a {@link MemoryBackupRepository} keeps: it outlives the repository, as a disk does. */
export interface MemoryVault {
  readonly repositoryId: string;
  readonly chunks: Map<string, Uint8Array>;
  readonly points: Map<string, MemoryPoint>;
  readonly runs: Map<string, MemoryRun>;
  readonly restores: Map<string, MemoryRestore>;
  nextId: number;
}

/** An empty vault. */
export function createMemoryVault(): MemoryVault {
  return {
    repositoryId: "memory-vault",
    chunks: new Map(),
    points: new Map(),
    runs: new Map(),
    restores: new Map(),
    nextId: 1,
  };
}

/** The hash of a chunk; empty for zeroes. */
export function hashOf(chunk: Uint8Array): string {
  return chunk.every((byte) => byte === 0) ? "" : createHash("sha256").update(chunk).digest("hex");
}

/** What a target is known by. */
export function targetKey(target: RestoreTarget): string {
  return JSON.stringify([target.kind, target.storage, target.kind === "new" ? target.name : target.volumeId]);
}

/** The points, oldest first. */
export function pointsOf(vault: MemoryVault, subject?: string): readonly MemoryPoint[] {
  return [...vault.points.values()]
    .filter(({ point }) => subject === undefined || point.subject === subject)
    .sort(
      (a, b) => a.point.createdAt - b.point.createdAt || (a.point.recoveryPointId < b.point.recoveryPointId ? -1 : 1),
    );
}
