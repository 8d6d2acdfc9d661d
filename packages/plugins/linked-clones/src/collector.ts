import { type OperationContext, isVdcError } from "@vdc-os/core";
import type { CloneRecord, ParentLink } from "./clone-record.ts";
import type { CloneServices } from "./clone-services.ts";
import { type Condition, deleteRecord, putRecord } from "./record-store.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import { snapshotLock } from "./volume-locks.ts";

/** How long what could not be removed waits for the next try, in milliseconds: doubled each time, up to the second. */
const retryMs = { first: 200, longest: 60_000 };

/** Removes volumes and snapshots, and then what was kept for them alone. */
export class Collector {
  readonly #services: CloneServices;
  readonly #stopped: AbortSignal;
  readonly #left = new Map<string, () => Promise<void>>();
  #collecting: Promise<void> = Promise.resolve();
  #retrying: Promise<void> | undefined;

  constructor(services: CloneServices, stopped: AbortSignal) {
    this.#services = services;
    this.#stopped = stopped;
  }

  /** Resolves when nothing is tried again any more: after a stop. */
  async stopped(): Promise<void> {
    await this.#retrying;
    await this.#collecting;
  }

  /**
   * Removes a kept snapshot or a tombstoned volume that nothing reads any more, then perhaps what that reads, and so on. Never rejects: what can't be removed now
   * is tried again after a while, and at the next start.
   */
  collect(link: ParentLink): Promise<void> {
    const { parentVolumeId = "", parentSnapshotId = "" } = link;
    if (parentVolumeId === "" && parentSnapshotId === "") return this.#collecting;
    return this.finish(`collect ${parentVolumeId} ${parentSnapshotId}`, () => this.#collect(link));
  }

  /** Runs something alone that must come to its end. Never rejects: what fails is tried again after a while, and the caller has left a record for the next start. */
  finish(what: string, run: () => Promise<void>): Promise<void> {
    this.#collecting = this.#collecting.then(async () => {
      try {
        await run();
        this.#left.delete(what);
      } catch (error) {
        this.#left.set(what, run);
        this.#services.logger.warn("what is to be removed could not be removed yet", { what, error: String(error) });
        this.#retrying ??= this.#retryAll().finally(() => {
          this.#retrying = undefined;
        });
      }
    });
    return this.#collecting;
  }

  /** Whether something is kept for others: clones of it, or of its snapshots. */
  async isHeld(volumeId: string, context: OperationContext): Promise<boolean> {
    const { catalog, snapshots } = this.#services;
    if ((await catalog.countChildren({ volumeId }, 1, context)) > 0) return true;
    return (await snapshots.ofVolume(volumeId, context)).length > 0;
  }

  /** Removes a volume that nothing reads. The caller holds it alone, unless it is a tombstone. */
  async removeVolume(record: CloneRecord, conditions: readonly Condition[], context: OperationContext): Promise<void> {
    const { catalog, base, records, operation } = this.#services;
    const { volumeId } = record;
    const pending = catalog.pendingKey(volumeId);
    await records.commit(conditions, [putRecord(pending, { kind: "delete", volumeId })], context);
    try {
      await base.handle.deleteVolume({ volumeId }, context);
    } catch (error) {
      await records.commit([], [deleteRecord(pending)], operation());
      throw error;
    }
    await records.commit(
      [],
      [
        deleteRecord(pending),
        deleteRecord(catalog.volumeKey(volumeId)),
        deleteRecord(catalog.deepKey(volumeId)),
        // A tombstone's name may be another volume's by now.
        deleteRecord(record.tombstoned ? catalog.tombstoneKey(volumeId) : catalog.nameKey(record.name)),
        ...catalog.unlink(volumeId, record),
      ],
      operation(),
    );
  }

  /** Removes a snapshot that nothing reads. The caller holds it alone. */
  async removeSnapshot(record: SnapshotRecord, context: OperationContext): Promise<void> {
    const { catalog, snapshots, base, records, operation } = this.#services;
    const { snapshotId } = record;
    // An id of a snapshot may be a volume's too.
    const pending = catalog.pendingKey(snapshotLock(snapshotId));
    await records.commit([], [putRecord(pending, { kind: "deleteSnapshot", snapshotId })], context);
    try {
      await (await base.facet("snapshots", context)).deleteSnapshot({ snapshotId }, context);
    } catch (error) {
      await records.commit([], [deleteRecord(pending)], operation());
      throw error;
    }
    await records.commit([], [deleteRecord(pending), ...snapshots.forget(record)], operation());
  }

  async #collect({ parentVolumeId, parentSnapshotId }: ParentLink): Promise<void> {
    const { catalog, snapshots, locks, operation } = this.#services;
    const context = operation();
    let link: ParentLink = { parentVolumeId, parentSnapshotId };
    for (;;) {
      if (link.parentSnapshotId !== undefined) {
        const snapshotId = link.parentSnapshotId;
        const record = (await snapshots.find(snapshotId, context))?.value;
        if (record !== undefined) {
          if (record.kept !== true || (await catalog.countChildren({ snapshotId }, 1, context)) > 0) return;
          const lock = snapshotLock(snapshotId);
          // Who makes a clone of it collects it afterwards.
          if (locks.isBusy(lock)) return;
          await locks.alone(lock, "removal", () => this.removeSnapshot(record, context));
        }
      }
      const at: string | undefined = link.parentVolumeId;
      if (at === undefined) return;
      const record = (await catalog.find(at, context))?.value;
      if (record?.tombstoned !== true || (await this.isHeld(at, context))) return;
      await this.removeVolume(record, [], context);
      link = record;
    }
  }

  async #retryAll(): Promise<void> {
    for (let delayMs = retryMs.first; this.#left.size > 0; delayMs = Math.min(delayMs * 2, retryMs.longest)) {
      try {
        await this.#services.clock.sleep(delayMs, { signal: this.#stopped });
      } catch {
        return;
      }
      for (const [what, run] of [...this.#left]) await this.finish(what, run);
    }
  }
}

/** Whether a volume or snapshot can't be removed because something still reads it underneath. */
export function isStillRead(error: unknown): boolean {
  return isVdcError(error, "FAILED_PRECONDITION") || isVdcError(error, "ABORTED");
}
