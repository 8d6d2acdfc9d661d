import { SnapshotIndex } from "./snapshot-index.ts";
import type { VolumeEntry } from "./volume-entry.ts";
import type { VolumeRecord } from "./volume-record.ts";

/** The volumes of a pool in memory: by id, by name, in order of name, by snapshot, and each as a child of the one that it reads from. */
export class VolumeIndex {
  readonly snapshots: SnapshotIndex = new SnapshotIndex();
  readonly #byId = new Map<string, VolumeEntry>();
  readonly #byName = new Map<string, VolumeEntry>();
  #sortedNames: readonly string[] | undefined;

  /** The names, in order. */
  get names(): readonly string[] {
    this.#sortedNames ??= [...this.#byName.keys()].sort();
    return this.#sortedNames;
  }

  get entries(): Iterable<VolumeEntry> {
    return this.#byId.values();
  }

  find(volumeId: string): VolumeEntry | undefined {
    return this.#byId.get(volumeId);
  }

  findByName(name: string): VolumeEntry | undefined {
    return this.#byName.get(name);
  }

  add(entry: VolumeEntry): VolumeEntry {
    const { record } = entry;
    this.#byId.set(record.volumeId, entry);
    this.#byName.set(record.name, entry);
    this.#sortedNames = undefined;
    this.snapshots.follow(entry, undefined, record);
    this.setChild(record.volumeId, record, true);
    return entry;
  }

  remove(entry: VolumeEntry): void {
    const { volumeId, record } = entry;
    this.#byId.delete(volumeId);
    this.#byName.delete(record.name);
    this.#sortedNames = undefined;
    this.snapshots.follow(entry, record, undefined);
    this.setChild(volumeId, record, false);
  }

  /** Says whether a volume reads from the one that a record names, if that names any and it is there. */
  setChild(
    volumeId: string,
    { parentVolumeId, parentSnapshotId }: Pick<VolumeRecord, "parentVolumeId" | "parentSnapshotId">,
    reads: boolean,
  ): void {
    if (parentVolumeId !== undefined) this.#byId.get(parentVolumeId)?.setChild(volumeId, parentSnapshotId, reads);
  }
}
