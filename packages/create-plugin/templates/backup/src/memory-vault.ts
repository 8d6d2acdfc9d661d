import { createHash } from "node:crypto";
import { type Generation, VdcError } from "@vdc-os/core";
import type {
  BackupDisk,
  CreateRecoveryPoint,
  RecoveryPoint,
  RestoredDisk,
  RestoreTarget,
} from "@vdc-os/core/backup/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";

/** The size of the parts into which disks are cut, in bytes. */
export const chunkBytes = 65_536;

/** What a disk consists of: the hash of each chunk, which is empty for zeroes. */
export type DiskContent = readonly string[];

/** A connection to a disk. */
export interface DiskClient {
  read(offset: number, length: number): Promise<Uint8Array>;
  write(offset: number, data: Uint8Array): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** A recovery point, and what its disks consist of, in their order. */
export interface VaultPoint {
  readonly point: RecoveryPoint;
  readonly contents: readonly DiskContent[];
}

/** A run that has not ended. One that was interrupted is gone on with, or swept. */
export interface RunRecord {
  readonly input: CreateRecoveryPoint;
  readonly startedAt: number;
  /** Begins the names of its snapshots. */
  readonly attempt: string;
  readonly disks: readonly RunDisk[];
  groupSnapshotId: string | undefined;
  /** The moment of the point, once its snapshots are there. */
  moment: Pick<RecoveryPoint, "createdAt" | "consistency"> | undefined;
}

/** How far a run has come with a disk. */
export interface RunDisk {
  readonly asked: BackupDisk;
  /** What is read. Without one it is the volume itself. */
  snapshotId: string | undefined;
  /** The chunks that have been read. */
  readonly content: string[];
  readBytes: number;
  /** What of that the vault did not have. */
  newBytes: number;
}

/** A restore of a disk into one target. */
export interface RestoreRecord {
  readonly recoveryPointId: string;
  readonly diskId: string;
  readonly target: RestoreTarget;
  volumeId: string | undefined;
  generation: Generation;
  /** What it returned, once it has ended. */
  done: RestoredDisk | undefined;
}

const vaults = new Map<string, MemoryVault>();

/**
 * Stands in for the place where the product that the plugin is for keeps its data, until that takes its place. It is in memory, and outlives the plugin as a
 * disk does.
 */
export class MemoryVault {
  readonly repositoryId: string = crypto.randomUUID();
  /** Pieces of disks, by their hashes: the same piece is kept once. */
  readonly chunks: Map<string, Uint8Array> = new Map();
  readonly points: Map<string, VaultPoint> = new Map();
  /** One for each subject. */
  readonly runs: Map<string, RunRecord> = new Map();
  /** One for each target. */
  readonly restores: Map<string, RestoreRecord> = new Map();
  #owner: symbol | undefined;

  /** Connects to a disk of a storage provider. A client for NBD (there is one in `@vdc-os/nbd`) reaches most. */
  openDisk: (transport: VolumeTransport, storage: string) => Promise<DiskClient> = async ({ kind }) => {
    throw new VdcError("UNIMPLEMENTED", `disks that are reached by '${kind}' can't be read yet`, {
      reason: "VDC_TRANSPORT_UNSUPPORTED",
    });
  };

  /** The vault at an address. */
  static at(address: string): MemoryVault {
    const vault = vaults.get(address) ?? new MemoryVault();
    vaults.set(address, vault);
    return vault;
  }

  /** Takes the vault from whoever had it before, and returns how to tell whether it is one's own still. */
  takeOver(): () => boolean {
    const owner = Symbol();
    this.#owner = owner;
    return () => this.#owner === owner;
  }

  /** The points of one subject or of all, oldest first. */
  pointsOf(subject?: string): readonly VaultPoint[] {
    return [...this.points.values()]
      .filter(({ point }) => subject === undefined || point.subject === subject)
      .sort((a, b) => a.point.createdAt - b.point.createdAt || compare(a.point, b.point));
  }

  /** A point. Throws `NOT_FOUND`. */
  get(recoveryPointId: string): VaultPoint {
    const found = this.points.get(recoveryPointId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no recovery point '${recoveryPointId}'`);
    return found;
  }

  /** Keeps a piece of a disk. */
  put(chunk: Uint8Array): { readonly hash: string; readonly newBytes: number } {
    const hash = hashOf(chunk);
    if (hash === "" || this.chunks.has(hash)) return { hash, newBytes: 0 };
    this.chunks.set(hash, chunk);
    return { hash, newBytes: chunk.length };
  }

  /** A piece of a disk. Throws `DATA_LOSS` for one that is not what it was. */
  chunk(hash: string): Uint8Array {
    const chunk = this.chunks.get(hash);
    if (chunk === undefined || hashOf(chunk) !== hash) throw new VdcError("DATA_LOSS", `chunk '${hash}' is damaged`);
    return chunk;
  }

  /** Removes chunks that no point and no run needs, and returns how many bytes that were. */
  collect(): number {
    const points = [...this.points.values()].flatMap(({ contents }) => contents);
    const runs = [...this.runs.values()].flatMap(({ disks }) => disks.map(({ content }) => content));
    const needed = new Set([...points, ...runs].flat());
    let freedBytes = 0;
    for (const [hash, { length }] of this.chunks) {
      if (needed.has(hash)) continue;
      this.chunks.delete(hash);
      freedBytes += length;
    }
    return freedBytes;
  }
}

function hashOf(chunk: Uint8Array): string {
  return chunk.every((byte) => byte === 0) ? "" : createHash("sha256").update(chunk).digest("hex");
}

function compare(a: RecoveryPoint, b: RecoveryPoint): number {
  return a.recoveryPointId < b.recoveryPointId ? -1 : 1;
}
