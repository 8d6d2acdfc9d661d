import { type Description, isVdcError, type OperationContext, type Page, VdcError } from "@vdc-os/core";
import type {
  BackupRepository,
  BackupRun,
  CreateRecoveryPoint,
  Damage,
  PruneReport,
  RecoveryPoint,
  RepositoryStatus,
  Restore,
  RestoredDisk,
  VerifyReport,
} from "@vdc-os/core/backup/v1";
import { backUp, isSameDisks, release } from "./backup-run.ts";
import { keyOf, restoreDisk, takeBack } from "./disk-restore.ts";
import { chunkBytes, type MemoryVault, type RunRecord, type VaultPoint } from "./memory-vault.ts";
import { keptBy } from "./retention.ts";
import { version } from "./version.ts";
import { Workshop, type WorkshopOptions } from "./workshop.ts";

type Input<Name extends Exclude<keyof BackupRepository, "facets">> = Parameters<BackupRepository[Name]>[0];

/** The most damages that a verification tells. */
const maxDamages = 100;

/** The backup API on the vault: it reaches disks by the storage contract alone. */
export class AcmeBackup implements BackupRepository {
  readonly #workshop: Workshop;
  readonly #vault: MemoryVault;

  constructor(options: WorkshopOptions) {
    this.#workshop = new Workshop(options);
    this.#vault = options.vault;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-backup", version, simulated: true },
      facets: {},
      attributes: { repositoryId: this.#vault.repositoryId },
    };
  }

  async createRecoveryPoint(input: CreateRecoveryPoint, context: OperationContext): Promise<RecoveryPoint> {
    this.#workshop.mustGoOn(context);
    const { name, subject, disks } = input;
    const present = this.#vault.pointsOf(subject).find(({ point }) => point.name === name)?.point;
    if (present === undefined)
      return this.#workshop.alone(runOf(subject), () => backUp(this.#workshop, input, context));
    if (isSameDisks(present.disks, disks)) return present;
    throw new VdcError("ALREADY_EXISTS", `'${name}' is a recovery point of other disks`);
  }

  async getRecoveryPoint({ recoveryPointId }: Input<"getRecoveryPoint">): Promise<RecoveryPoint> {
    return this.#vault.get(recoveryPointId).point;
  }

  async listRecoveryPoints(input: Input<"listRecoveryPoints">): Promise<Page<RecoveryPoint>> {
    const { limit = 1000, pageToken = "after:", subject } = input;
    const points = this.#vault.pointsOf(subject).map(({ point }) => point);
    const last = pageToken.slice("after:".length);
    const from = points.findIndex(({ recoveryPointId }) => recoveryPointId === last) + 1;
    if (!pageToken.startsWith("after:") || (last !== "" && from === 0)) {
      throw new VdcError("ABORTED", "the page token is unknown: begin again");
    }
    const items = points.slice(from, from + limit);
    const hasMore = from + limit < points.length;
    return hasMore ? { items, nextPageToken: `after:${items.at(-1)?.recoveryPointId}` } : { items };
  }

  async deleteRecoveryPoint(
    { recoveryPointId }: Input<"deleteRecoveryPoint">,
    context: OperationContext,
  ): Promise<void> {
    this.#workshop.mustGoOn(context);
    this.#vault.points.delete(recoveryPointId);
  }

  async restore(
    { recoveryPointId, disks }: Restore,
    context: OperationContext,
  ): Promise<{ readonly disks: readonly RestoredDisk[] }> {
    this.#workshop.mustGoOn(context);
    const restored: RestoredDisk[] = [];
    for (const { diskId, target } of disks) {
      const work = () => restoreDisk(this.#workshop, { recoveryPointId, diskId, target }, context);
      restored.push(await this.#workshop.alone(keyOf(target), work));
    }
    return { disks: restored };
  }

  async verify({ recoveryPointId }: Input<"verify">, context: OperationContext): Promise<VerifyReport> {
    this.#workshop.mustGoOn(context);
    const points = recoveryPointId === undefined ? this.#vault.pointsOf() : [this.#vault.get(recoveryPointId)];
    const needed = [...new Set(points.flatMap(({ contents }) => contents.flat()))].filter((hash) => hash !== "");
    const damaged = new Set(needed.filter((hash) => !this.#isWell(hash)));
    const well = needed.filter((hash) => !damaged.has(hash));
    return {
      recoveryPoints: points.length,
      chunks: well.length,
      bytes: well.reduce((bytes, hash) => bytes + this.#vault.chunk(hash).length, 0),
      damages: points.flatMap((point) => damagesOf(point, damaged)).slice(0, maxDamages),
    };
  }

  async prune({ subject, keep, dryRun = false }: Input<"prune">, context: OperationContext): Promise<PruneReport> {
    this.#workshop.mustGoOn(context);
    const points = this.#vault.pointsOf(subject).map(({ point }) => point);
    const subjects = [...new Set(points.map((point) => point.subject))];
    const keptOf = (own: readonly RecoveryPoint[]) => (keep === undefined ? own : [...keptBy(own, keep)]);
    const kept = new Set(subjects.flatMap((one) => keptOf(points.filter((point) => point.subject === one))));
    const removed = points.filter((point) => !kept.has(point)).map(({ recoveryPointId }) => recoveryPointId);
    if (dryRun) return { removed, kept: kept.size, freedBytes: 0 };
    for (const recoveryPointId of removed) this.#vault.points.delete(recoveryPointId);
    return { removed, kept: kept.size, freedBytes: this.#vault.collect() };
  }

  async sweep(
    _input: Input<"sweep">,
    context: OperationContext,
  ): Promise<{ readonly runs: number; readonly volumes: number }> {
    this.#workshop.mustGoOn(context);
    const runs = [...this.#vault.runs.values()].filter(({ input }) => !this.#workshop.isBusy(runOf(input.subject)));
    for (const run of runs) await release(this.#workshop, run);
    const restores = [...this.#vault.restores.values()].filter(
      ({ target, done }) => done === undefined && !this.#workshop.isBusy(keyOf(target)),
    );
    for (const restore of restores) await takeBack(this.#workshop, restore);
    return { runs: runs.length, volumes: restores.length };
  }

  async status(): Promise<RepositoryStatus> {
    const points = this.#vault.pointsOf().map(({ point }) => point);
    return {
      repositoryId: this.#vault.repositoryId,
      chunkBytes,
      recoveryPoints: points.length,
      dataBytes: points.flatMap(({ disks }) => disks).reduce((bytes, { dataBytes }) => bytes + dataBytes, 0),
      storedBytes: [...this.#vault.chunks.values()].reduce((bytes, { length }) => bytes + length, 0),
      runs: [...this.#vault.runs.values()].map((run) => this.#statusOf(run)),
    };
  }

  #statusOf({ input, startedAt, disks }: RunRecord): BackupRun {
    const newBytes = disks.reduce((bytes, disk) => bytes + disk.newBytes, 0);
    return {
      name: input.name,
      subject: input.subject,
      startedAt,
      state: this.#workshop.isBusy(runOf(input.subject)) ? "working" : "interrupted",
      diskIds: input.disks.map(({ diskId }) => diskId),
      readBytes: disks.reduce((bytes, disk) => bytes + disk.readBytes, 0),
      newBytes,
      storedBytes: newBytes,
    };
  }

  #isWell(hash: string): boolean {
    try {
      this.#vault.chunk(hash);
      return true;
    } catch (error) {
      if (isVdcError(error, "DATA_LOSS")) return false;
      throw error;
    }
  }
}

/** What one call at a time works on, for a subject. */
function runOf(subject: string): string {
  return `the run of '${subject}'`;
}

function damagesOf({ point, contents }: VaultPoint, damaged: ReadonlySet<string>): readonly Damage[] {
  const { recoveryPointId, disks } = point;
  return disks.flatMap(({ diskId }, at) =>
    (contents[at] ?? []).flatMap((hash, number): Damage[] => {
      if (!damaged.has(hash)) return [];
      const where = { offset: number * chunkBytes, length: chunkBytes };
      return [{ recoveryPointId, diskId, ...where, message: "the chunk is not what it was" }];
    }),
  );
}
