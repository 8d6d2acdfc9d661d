import type { BackupRepository } from "@vdc-os/core/backup/v1";
import type { StorageProvider, VolumeTransport } from "@vdc-os/core/storage/v1";
import type { BlockClient } from "../storage/storage-instance.ts";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";

/** A storage provider that the repository reaches, as the suite reaches it too: directly. Nothing may be in it, and 128 MiB must fit. */
export interface BackupStorage {
  /** The name that the repository knows it by. */
  readonly name: string;
  readonly provider: StorageProvider;
  /** A host on which the suite attaches volumes, as a VM's would be. The repository reads and writes disks on any. */
  readonly host: string;
  /** Connects to a volume as a transport says. */
  openTransport(transport: VolumeTransport): Promise<BlockClient>;
}

/** What the factory gives for the backup suite. The repository is empty. */
export interface BackupInstance extends Instance<BackupRepository> {
  /** Storage with facet `snapshots`, and `groupSnapshots` if disks of one moment are to be tried. */
  readonly storage: BackupStorage;
  /** Other storage with snapshots: disks there and in `storage` can't be had of one moment. Without it that is not tried. */
  readonly other?: BackupStorage | undefined;
  /** Storage without snapshots. Without it volumes that have to be attached for a backup are not tried. */
  readonly plain?: BackupStorage | undefined;
  /**
   * Ends the repository's process as `kill -9` would, or as near to that as can be, and opens what it left. From the moment of the call nothing that it had
   * under way has an effect any more, at storage providers neither, and its calls need not end. Storage stays as it is.
   */
  reopen(): Promise<BackupRepository>;
  /** Damages all data of disks that the repository keeps at this moment, behind its back. Without it damage is not tried. */
  damage?(): Promise<void>;
  /** Sets the repository's clock, in milliseconds since 1970. Without it retention by days, weeks and months is not tried. */
  setNow?(now: number): void;
}

/** A requirement of the backup suite. */
export type BackupRequirement = Requirement<BackupRepository, BackupInstance>;

/** What a backup requirement works with. */
export type BackupTest = SuiteTest<BackupRepository, BackupInstance>;
