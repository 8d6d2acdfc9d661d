import type { CloneServices } from "./clone-services.ts";
import { newBaseName } from "./clone-services.ts";
import type { Collector } from "./collector.ts";
import { deleteRecord, putRecord } from "./record-store.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import { snapshotLock } from "./volume-locks.ts";

/** A snapshot that is to be taken, and how many wait for it. */
interface Waiting {
  readonly taken: Promise<SnapshotRecord>;
  users: number;
}

/**
 * Hidden snapshots of volumes that are being written, for clones to read. Those that are asked for while one is being taken share the next: each holds
 * what was acknowledged before it was asked for. It is kept from its birth for its clones alone.
 */
export class Moments {
  readonly #services: CloneServices;
  readonly #collector: Collector;
  readonly #taking = new Map<string, Promise<unknown>>();
  readonly #waiting = new Map<string, Waiting>();

  constructor(services: CloneServices, collector: Collector) {
    this.#services = services;
    this.#collector = collector;
  }

  /** Does something with a hidden snapshot of a volume as it is now, which stays when something has come to read it. The caller keeps the volume from being deleted. */
  async withMoment<T>(volumeId: string, use: (snapshot: SnapshotRecord) => Promise<T>): Promise<T> {
    const snapshot = await this.#ask(volumeId);
    const { snapshotId } = snapshot;
    try {
      return await use(snapshot);
    } finally {
      this.#services.locks.unpin(snapshotLock(snapshotId));
      await this.#collector.collect({ parentVolumeId: volumeId, parentSnapshotId: snapshotId });
    }
  }

  /** Takes back a snapshot that was begun, now or when that can be done. Never rejects. */
  undoSoon(baseName: string, name: string | undefined): Promise<void> {
    return this.#collector.finish(`undo ${baseName}`, () => this.undo(baseName, name));
  }

  /** Takes back a snapshot that was begun, whatever came of it. */
  async undo(baseName: string, name: string | undefined): Promise<void> {
    const { base, catalog, snapshots, records, operation } = this.#services;
    const context = operation();
    const pending = deleteRecord(catalog.pendingKey(baseName));
    const made = await base.findSnapshotByName(baseName, context);
    const reserved = name === undefined ? undefined : (await snapshots.name(name, context))?.value;
    const ours = reserved?.baseName === baseName;
    const isRecorded = ours
      ? reserved.snapshotId !== undefined
      : made !== undefined && (await snapshots.find(made.snapshotId, context)) !== undefined;
    // It may be complete: then only the answer was lost.
    if (isRecorded) return records.commit([], [pending], context);
    if (made !== undefined) {
      await (await base.facet("snapshots", context)).deleteSnapshot({ snapshotId: made.snapshotId }, context);
    }
    const free = ours && name !== undefined ? [deleteRecord(snapshots.nameKey(name))] : [];
    await records.commit([], [pending, ...free], context);
  }

  #ask(volumeId: string): Promise<SnapshotRecord> {
    const present = this.#waiting.get(volumeId);
    if (present !== undefined) {
      present.users++;
      return present.taken;
    }
    const before = this.#taking.get(volumeId) ?? Promise.resolve();
    const waiting: Waiting = {
      users: 1,
      taken: before.then(() => {
        // Who asks from here on wants a later moment.
        this.#waiting.delete(volumeId);
        return this.#take(volumeId, waiting.users);
      }),
    };
    this.#waiting.set(volumeId, waiting);
    const settled = waiting.taken.then(
      () => {},
      () => {},
    );
    this.#taking.set(volumeId, settled);
    void settled.then(() => {
      if (this.#taking.get(volumeId) === settled) this.#taking.delete(volumeId);
    });
    return waiting.taken;
  }

  async #take(volumeId: string, users: number): Promise<SnapshotRecord> {
    const { base, catalog, snapshots, records, random, locks, operation } = this.#services;
    const context = operation();
    const baseName = newBaseName("moment", random);
    const pending = catalog.pendingKey(baseName);
    await records.commit([], [putRecord(pending, { kind: "createSnapshot", baseName })], context);
    try {
      const { snapshotId } = await (await base.facet("snapshots", context)).createSnapshot(
        { name: baseName, volumeId },
        context,
      );
      const record: SnapshotRecord = { snapshotId, name: baseName, baseName, volumeId, kept: true };
      // For each who waits, before anybody can collect it.
      locks.pin(snapshotLock(snapshotId), users);
      try {
        await records.commit([], [...snapshots.put(record), deleteRecord(pending)], context);
      } catch (error) {
        for (let user = 0; user < users; user++) locks.unpin(snapshotLock(snapshotId));
        throw error;
      }
      return record;
    } catch (error) {
      await this.undoSoon(baseName, undefined);
      throw error;
    }
  }
}
