import { type Description, type OperationContext, type Page, toVdcError, VdcError } from "@vdc-os/core";
import type {
  BackupRepository,
  CreateRecoveryPoint,
  Damage,
  PruneReport,
  RecoveryPoint,
  RepositoryStatus,
  Restore,
  RestoredDisk,
  VerifyReport,
} from "@vdc-os/core/backup/v1";
import type { BackupStorage } from "./backup-instance.ts";
import { releaseRun, runBackup, sameDisks } from "./memory-backup-run.ts";
import { isWell, restoreDisk, takeBack } from "./memory-restore.ts";
import { keptBy, memoryPeriods } from "./memory-retention.ts";
import {
  type MemoryPoint,
  type MemoryRestore,
  type MemoryRun,
  type MemoryVault,
  memoryChunkBytes,
  pointsOf,
  targetKey,
} from "./memory-vault.ts";

const tokenPrefix = "after ";

/** The smallest repository that keeps the whole contract, in memory. Not for use: a reference to read and to test the suite with. */
export class MemoryBackupRepository implements BackupRepository {
  readonly vault: MemoryVault;
  readonly storages: readonly BackupStorage[];
  readonly now: () => number;
  readonly busy: Set<string> = new Set();
  /** How the periods of retention are told apart. */
  periods: typeof memoryPeriods = memoryPeriods;
  isKilled = false;

  constructor(vault: MemoryVault, storages: readonly BackupStorage[], now: () => number = Date.now) {
    this.vault = vault;
    this.storages = storages;
    this.now = now;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "memory-backup", version: "1.0.0", simulated: true },
      facets: {},
      attributes: { repositoryId: this.vault.repositoryId },
    };
  }

  async createRecoveryPoint(input: CreateRecoveryPoint, context: OperationContext): Promise<RecoveryPoint> {
    this.assertGoing(context);
    const present = pointsOf(this.vault, input.subject).find(({ point }) => point.name === input.name)?.point;
    if (present !== undefined) {
      if (sameDisks(present.disks, input.disks)) return present;
      throw new VdcError("ALREADY_EXISTS", `'${input.name}' is a point of other disks`);
    }
    return this.alone(`run ${input.subject}`, () => runBackup(this, input, context));
  }

  async getRecoveryPoint({ recoveryPointId }: { readonly recoveryPointId: string }): Promise<RecoveryPoint> {
    return this.get(recoveryPointId).point;
  }

  async listRecoveryPoints(input: Parameters<BackupRepository["listRecoveryPoints"]>[0]): Promise<Page<RecoveryPoint>> {
    const { limit = 1000, pageToken, subject } = input;
    const all = pointsOf(this.vault, subject).map(({ point }) => point);
    let from = 0;
    if (pageToken !== undefined) {
      if (!pageToken.startsWith(tokenPrefix)) throw new VdcError("ABORTED", "no such token");
      from = all.findIndex(({ recoveryPointId }) => recoveryPointId === pageToken.slice(tokenPrefix.length)) + 1;
      if (from === 0) throw new VdcError("ABORTED", "the token is too old");
    }
    const items = all.slice(from, from + limit);
    const hasMore = from + items.length < all.length;
    return hasMore ? { items, nextPageToken: `${tokenPrefix}${items.at(-1)?.recoveryPointId}` } : { items };
  }

  async deleteRecoveryPoint(
    { recoveryPointId }: { readonly recoveryPointId: string },
    context: OperationContext,
  ): Promise<void> {
    this.assertGoing(context);
    this.vault.points.delete(recoveryPointId);
  }

  async restore(input: Restore, context: OperationContext): Promise<{ readonly disks: readonly RestoredDisk[] }> {
    this.assertGoing(context);
    const from = this.get(input.recoveryPointId);
    const disks: RestoredDisk[] = [];
    for (const { diskId, target } of input.disks) {
      const run = (): Promise<RestoredDisk> => restoreDisk(this, { from, diskId, target }, context);
      disks.push(await this.alone(targetKey(target), run));
    }
    return { disks };
  }

  async verify(
    { recoveryPointId }: { readonly recoveryPointId?: string },
    context: OperationContext,
  ): Promise<VerifyReport> {
    this.assertGoing(context);
    const points = recoveryPointId === undefined ? pointsOf(this.vault) : [this.get(recoveryPointId)];
    const well = new Set<string>();
    const damages: Damage[] = [];
    for (const { point, contents } of points) {
      for (const [i, content] of contents.entries()) {
        for (const [n, hash] of content.entries()) {
          if (hash === "" || well.has(hash)) continue;
          if (this.isWell(hash)) well.add(hash);
          else if (damages.length < 100) {
            const { diskId = "" } = point.disks[i] ?? {};
            const at = { offset: n * memoryChunkBytes, length: memoryChunkBytes };
            damages.push({ recoveryPointId: point.recoveryPointId, diskId, ...at, message: "the chunk is damaged" });
          }
        }
      }
    }
    const bytes = [...well].reduce((sum, hash) => sum + (this.vault.chunks.get(hash)?.length ?? 0), 0);
    return { recoveryPoints: points.length, chunks: well.size, bytes, damages };
  }

  async prune(input: Parameters<BackupRepository["prune"]>[0], context: OperationContext): Promise<PruneReport> {
    this.assertGoing(context);
    const { subject, keep, dryRun = false } = input;
    const all = pointsOf(this.vault, subject);
    const kept = new Set<MemoryPoint>();
    for (const own of Map.groupBy(all, ({ point }) => point.subject).values()) {
      for (const point of keptBy(own, keep, this.periods)) kept.add(point);
    }
    const removed = all.filter((point) => !kept.has(point)).map(({ point }) => point.recoveryPointId);
    if (dryRun) return { removed, kept: kept.size, freedBytes: 0 };
    for (const id of removed) this.vault.points.delete(id);
    return { removed, kept: kept.size, freedBytes: this.collect() };
  }

  async sweep(
    _input: Record<never, never>,
    context: OperationContext,
  ): Promise<{ readonly runs: number; readonly volumes: number }> {
    this.assertGoing(context);
    const runs = [...this.vault.runs.values()].filter(({ input }) => !this.busy.has(`run ${input.subject}`));
    for (const run of runs) await this.release(run, context);
    const restores = [...this.vault.restores.values()].filter(
      ({ target, done }) => done === undefined && !this.busy.has(targetKey(target)),
    );
    for (const record of restores) await this.takeBack(record, context);
    return { runs: runs.length, volumes: restores.length };
  }

  async status(): Promise<RepositoryStatus> {
    const points = pointsOf(this.vault).map(({ point }) => point);
    return {
      repositoryId: this.vault.repositoryId,
      chunkBytes: memoryChunkBytes,
      recoveryPoints: points.length,
      dataBytes: points.flatMap(({ disks }) => disks).reduce((sum, { dataBytes }) => sum + dataBytes, 0),
      storedBytes: [...this.vault.chunks.values()].reduce((sum, { length }) => sum + length, 0),
      runs: [...this.vault.runs.values()].map(({ input, startedAt, counts }) => {
        const newBytes = counts.reduce((sum, count) => sum + count.newBytes, 0);
        return {
          name: input.name,
          subject: input.subject,
          startedAt,
          state: this.busy.has(`run ${input.subject}`) ? "working" : "interrupted",
          diskIds: input.disks.map(({ diskId }) => diskId),
          readBytes: counts.reduce((sum, { readBytes }) => sum + readBytes, 0),
          newBytes,
          storedBytes: newBytes,
        };
      }),
    };
  }

  /** Removes what a run has at storage providers. */
  release(run: MemoryRun, context: OperationContext): Promise<void> {
    return releaseRun(this, run, context);
  }

  /** Takes back what a restore has begun. */
  takeBack(record: MemoryRestore, context: OperationContext): Promise<void> {
    return takeBack(this, record, context);
  }

  /** Removes chunks that nothing needs, and returns how many bytes that were. */
  collect(): number {
    const needed = new Set(
      [...this.vault.points.values(), ...this.vault.runs.values()].flatMap(({ contents }) => contents.flat()),
    );
    let freed = 0;
    for (const [hash, { length }] of this.vault.chunks) {
      if (needed.has(hash)) continue;
      this.vault.chunks.delete(hash);
      freed += length;
    }
    return freed;
  }

  /** A chunk's content. */
  chunk(hash: string): Uint8Array {
    const chunk = this.vault.chunks.get(hash);
    if (chunk === undefined || !this.isWell(hash)) throw new VdcError("DATA_LOSS", `chunk '${hash}' is damaged`);
    return chunk;
  }

  isWell(hash: string): boolean {
    return isWell(this.vault.chunks.get(hash), hash);
  }

  get(recoveryPointId: string): MemoryPoint {
    const found = this.vault.points.get(recoveryPointId);
    if (found !== undefined) return found;
    throw new VdcError("NOT_FOUND", `there is no recovery point '${recoveryPointId}'`);
  }

  storage(name: string): BackupStorage {
    const found = this.storages.find((storage) => storage.name === name);
    if (found !== undefined) return found;
    throw new VdcError("NOT_FOUND", `there is no storage '${name}'`);
  }

  /** Throws when the call was cancelled, or the process is dead. */
  assertGoing({ signal }: OperationContext): void {
    if (this.isKilled) throw new VdcError("UNAVAILABLE", "the process is dead");
    if (signal.aborted) throw toVdcError(signal.reason);
  }

  /** Lets others work, and throws when there is no going on. */
  async step(context: OperationContext): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.assertGoing(context);
  }

  /** One call at a time works on something. */
  async alone<T>(what: string, run: () => Promise<T>): Promise<T> {
    if (this.busy.has(what)) throw new VdcError("ABORTED", `'${what}' is busy`);
    this.busy.add(what);
    try {
      return await run();
    } finally {
      this.busy.delete(what);
    }
  }
}
