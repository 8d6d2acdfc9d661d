import {
  type Description,
  isVdcError,
  type OperationContext,
  type Page,
  refuseWhenOver,
  toVdcError,
  VdcError,
} from "@vdc-os/core";
import type {
  BackupRepository,
  CreateRecoveryPoint,
  PruneReport,
  RecoveryPoint,
  RepositoryStatus,
  Restore,
  RestoredDisk,
  VerifyReport,
} from "@vdc-os/core/backup/v1";
import { type BackupEnvironment, BackupRuns } from "./backup/backup-run.ts";
import { collectGarbage } from "./prune/collect-garbage.ts";
import { absentPoint, Restores } from "./restore/restore-disks.ts";
import { choosePoints } from "./retention/choose-points.ts";
import { verifyPoints } from "./verify/verify-points.ts";

/** Version of this package. */
export const packageVersion: string = "0.1.0";

/** What a list returns at most. */
const pageLimit = 1000;

/** Recovery points in a repository on a folder. Made by `openDataRecovery`. */
export class DataRecoveryProvider implements BackupRepository {
  readonly #environment: BackupEnvironment;
  readonly #runs: BackupRuns;
  readonly #restores: Restores;

  constructor(environment: BackupEnvironment) {
    this.#environment = environment;
    this.#runs = new BackupRuns(environment);
    this.#restores = new Restores(environment);
  }

  async describe(): Promise<Description> {
    const { repository, host } = this.#environment;
    return {
      implementation: { name: "@vdc-os/plugin-data-recovery", version: packageVersion, simulated: false },
      facets: {},
      attributes: { repositoryId: repository.id, chunkBytes: repository.chunkBytes, host },
    };
  }

  createRecoveryPoint(input: CreateRecoveryPoint, context: OperationContext): Promise<RecoveryPoint> {
    return this.#call(context, () => this.#runs.create(input, context));
  }

  async getRecoveryPoint({ recoveryPointId }: { readonly recoveryPointId: string }): Promise<RecoveryPoint> {
    const found = this.#environment.repository.points.findById(recoveryPointId);
    if (found === undefined) throw absentPoint(recoveryPointId);
    return found.point;
  }

  async listRecoveryPoints(input: Parameters<BackupRepository["listRecoveryPoints"]>[0]): Promise<Page<RecoveryPoint>> {
    const { limit = pageLimit, pageToken, subject } = input;
    if (pageToken !== undefined && !/^\d+(\.\d+)?-[0-9a-f]{24}-[0-9a-f]+$/.test(pageToken)) {
      throw new VdcError("ABORTED", "the page token is unknown: begin again");
    }
    const after = pageToken === undefined ? undefined : Number(pageToken.split("-")[0]);
    const afterId = pageToken?.slice(pageToken.indexOf("-") + 1) ?? "";
    const points = this.#environment.repository.points.list(subject).map(({ point }) => point);
    const rest = points.filter(
      ({ createdAt, recoveryPointId }) =>
        after === undefined || createdAt > after || (createdAt === after && recoveryPointId > afterId),
    );
    const items = rest.slice(0, limit);
    const last = items.at(-1);
    if (last === undefined || rest.length === items.length) return { items };
    return { items, nextPageToken: `${last.createdAt}-${last.recoveryPointId}` };
  }

  deleteRecoveryPoint(
    { recoveryPointId }: { readonly recoveryPointId: string },
    context: OperationContext,
  ): Promise<void> {
    const { points, users } = this.#environment.repository;
    return this.#call(context, () =>
      users.exclusive(async () => {
        const found = points.findById(recoveryPointId);
        if (found !== undefined) await points.remove([found]);
      }, context.signal),
    );
  }

  restore(input: Restore, context: OperationContext): Promise<{ readonly disks: readonly RestoredDisk[] }> {
    return this.#call(context, async () => ({ disks: await this.#restores.restore(input, context) }));
  }

  verify({ recoveryPointId }: { readonly recoveryPointId?: string }, context: OperationContext): Promise<VerifyReport> {
    const { repository } = this.#environment;
    const { points, users } = repository;
    return this.#call(context, () =>
      users.shared(async () => {
        const wanted = points
          .list()
          .filter(({ point }) => point.recoveryPointId === (recoveryPointId ?? point.recoveryPointId));
        if (recoveryPointId !== undefined && wanted.length === 0) throw absentPoint(recoveryPointId);
        const report = await verifyPoints(repository, {
          points: wanted,
          signal: context.signal,
          onProgress: (chunks) => context.progress({ message: `${chunks} chunks are well` }),
        });
        if (recoveryPointId !== undefined) return report;
        const unreadable = [...points.unreadable].map(([name, message]) => ({
          message: `recovery point 'points/${name}' can't be read: ${message}`,
        }));
        return { ...report, damages: [...unreadable, ...report.damages].slice(0, 100) };
      }, context.signal),
    );
  }

  prune(input: Parameters<BackupRepository["prune"]>[0], context: OperationContext): Promise<PruneReport> {
    const { subject, keep = {}, dryRun = false } = input;
    const { repository } = this.#environment;
    const { points, users } = repository;
    return this.#call(context, () =>
      users.exclusive(async () => {
        const all = points.list(subject);
        const subjects = Map.groupBy(all, ({ point }) => point.subject);
        const kept = new Set(
          [...subjects.values()].flatMap((own) => [
            ...choosePoints(
              own.map(({ point }) => point),
              keep,
            ),
          ]),
        );
        const removed = all.filter(({ point }) => !kept.has(point));
        const report = { removed: removed.map(({ point }) => point.recoveryPointId), kept: kept.size };
        if (dryRun) return { ...report, freedBytes: 0 };
        points.assertReadable();
        const before = await repository.storedBytes();
        await points.remove(removed);
        await collectGarbage(repository, { runs: this.#runs.store, signal: context.signal });
        return { ...report, freedBytes: Math.max(0, before - (await repository.storedBytes())) };
      }, context.signal),
    );
  }

  sweep(
    _input: Record<never, never>,
    context: OperationContext,
  ): Promise<{ readonly runs: number; readonly volumes: number }> {
    return this.#call(context, async () => ({
      runs: await this.#runs.releaseInterrupted(context),
      volumes: await this.#restores.sweep(context),
    }));
  }

  async status(): Promise<RepositoryStatus> {
    const { repository } = this.#environment;
    const points = repository.points.list();
    const dataBytes = points.flatMap(({ point }) => point.disks).reduce((sum, disk) => sum + disk.dataBytes, 0);
    const runs = (await this.#runs.store.list()).map(({ input, startedAt }) => {
      const active = this.#runs.active.get(input.subject);
      const working = active?.record.input.name === input.name;
      const { readBytes, newBytes, storedBytes } = (working ? active.counters : undefined) ?? {
        readBytes: 0,
        newBytes: 0,
        storedBytes: 0,
      };
      return {
        name: input.name,
        subject: input.subject,
        startedAt,
        state: working ? ("working" as const) : ("interrupted" as const),
        diskIds: input.disks.map(({ diskId }) => diskId),
        readBytes,
        newBytes,
        storedBytes,
      };
    });
    return {
      repositoryId: repository.id,
      chunkBytes: repository.chunkBytes,
      recoveryPoints: points.length,
      dataBytes,
      storedBytes: await repository.storedBytes(),
      runs,
    };
  }

  /** Runs a call that is not over before it begins, and has what it throws coded: an abort is `CANCELLED`. */
  async #call<T>(context: OperationContext, run: () => Promise<T>): Promise<T> {
    refuseWhenOver(context);
    try {
      return await run();
    } catch (error) {
      if (!isVdcError(error) && context.signal.aborted) throw toVdcError(context.signal.reason);
      throw toVdcError(error);
    }
  }
}
