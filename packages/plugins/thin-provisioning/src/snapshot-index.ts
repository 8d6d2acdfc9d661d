import type { SnapshotRecord } from "./snapshot-record.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import type { VolumeRecord } from "./volume-record.ts";

/** A snapshot with its volume. */
export interface FoundSnapshot {
  readonly entry: VolumeEntry;
  readonly snapshot: SnapshotRecord;
  /** It was begun, and may not be there. */
  readonly pending: boolean;
}

/** Where the snapshots of all volumes are found by id and name: those that are there or are being taken. It follows the volumes' records. */
export class SnapshotIndex {
  readonly #byId = new Map<string, FoundSnapshot>();
  readonly #byName = new Map<string, FoundSnapshot>();
  #sortedNames: readonly string[] | undefined;

  /** Replaces what a volume's record said before by what it says now. */
  follow(entry: VolumeEntry, before: VolumeRecord | undefined, now: VolumeRecord | undefined): void {
    if (before?.snapshots === now?.snapshots && before?.pending === now?.pending) return;
    for (const { snapshot } of found(entry, before)) {
      this.#byId.delete(snapshot.snapshotId);
      if (this.#byName.get(snapshot.name)?.snapshot.snapshotId === snapshot.snapshotId)
        this.#byName.delete(snapshot.name);
    }
    for (const one of found(entry, now)) {
      this.#byId.set(one.snapshot.snapshotId, one);
      this.#byName.set(one.snapshot.name, one);
    }
    this.#sortedNames = undefined;
  }

  /** A snapshot that is there. */
  find(snapshotId: string): FoundSnapshot | undefined {
    const one = this.#byId.get(snapshotId);
    return one?.pending === true ? undefined : one;
  }

  /** A snapshot of that name that is there or is being taken. */
  findByName(name: string): FoundSnapshot | undefined {
    return this.#byName.get(name);
  }

  /** The names, in order. */
  get names(): readonly string[] {
    this.#sortedNames ??= [...this.#byName.keys()].sort();
    return this.#sortedNames;
  }
}

function found(entry: VolumeEntry, record: VolumeRecord | undefined): readonly FoundSnapshot[] {
  const live = (record?.snapshots ?? []).filter(({ deleted }) => deleted !== true);
  const there = live.map((snapshot): FoundSnapshot => ({ entry, snapshot, pending: false }));
  const { pending } = record ?? {};
  return pending?.kind === "snapshot" && pending.snapshot.deleted !== true
    ? [...there, { entry, snapshot: pending.snapshot, pending: true }]
    : there;
}
