import type { Clock, Logger, OperationContext, Random } from "@vdc-os/core";
import type { Volume } from "@vdc-os/core/storage/v1";
import type { BaseStorage } from "./base-storage.ts";
import type { CloneCatalog } from "./clone-catalog.ts";
import type { CloneRecord } from "./clone-record.ts";
import type { RecordStore } from "./record-store.ts";
import type { SnapshotCatalog } from "./snapshot-catalog.ts";
import type { VolumeLocks } from "./volume-locks.ts";

/** What the parts of the provider share. */
export interface CloneServices {
  readonly base: BaseStorage;
  readonly records: RecordStore;
  readonly catalog: CloneCatalog;
  readonly snapshots: SnapshotCatalog;
  readonly locks: VolumeLocks;
  readonly logger: Logger;
  readonly random: Random;
  readonly clock: Clock;
  /**
   * A context for what is done of the provider's own accord, also when the caller has left; and for a short call underneath that must be seen to its end: a
   * caller that leaves is told so at once, while the provider underneath may go on, and what it makes then nobody could undo.
   */
  readonly operation: () => OperationContext;
}

/** A volume, as it is in the provider underneath and as it is known here. */
export interface KnownVolume {
  readonly record: CloneRecord;
  readonly volume: Volume;
  /** What goes with it when it is deleted: parents that are kept for it alone, in bytes. */
  readonly keptForItBytes?: number;
}

/** A name in the provider underneath that is never used twice, and shows the caller's. */
export function newBaseName(name: string, random: Random): string {
  return baseNameOf(name, random.uuid().replaceAll("-", "").slice(0, 12));
}

/** A name in the provider underneath with an end that was reserved. */
export function baseNameOf(name: string, suffix: string): string {
  return `${name.slice(0, 48)}.${suffix}`;
}
