import type { Description } from "@vdc-os/core";
import type { BackupStorage } from "@vdc-os/ready/backup";
import { createMemoryVault, MemoryBackupRepository, type MemoryVault } from "@vdc-os/ready/backup";
import { version } from "./version.ts";

/** What a repository at an address keeps, and the storage that is reached from there. */
interface Place {
  readonly vault: MemoryVault;
  storages: readonly BackupStorage[];
  now: (() => number) | undefined;
  running: AcmeBackup | undefined;
}

const places = new Map<string, Place>();

/**
 * The backup API: as it stands, it is the kit's reference, in memory. Override one operation after the other with your own; the suite says whether each
 * still keeps the contract. When none is left to override, write `implements` for `extends`, and move `@vdc-os/ready` to the
 * devDependencies. A repository in use has `requires: { storage: all(storageProvider) }` in its plugin, and reaches volumes by what
 * `context.requires.storage` says of them, as `@vdc-os/plugin-data-recovery` does.
 */
export class AcmeBackup extends MemoryBackupRepository {
  constructor(address: string) {
    const place = AcmeBackup.placeOf(address);
    super(place.vault, place.storages, () => place.now?.() ?? Date.now());
    place.running = this;
  }

  /** What is at an address. */
  static placeOf(address: string): Place {
    const there = places.get(address);
    if (there !== undefined) return there;
    const place: Place = { vault: createMemoryVault(), storages: [], now: undefined, running: undefined };
    places.set(address, place);
    return place;
  }

  override async describe(): Promise<Description> {
    const implementation = { name: "@acme/vdc-backup", version, simulated: true };
    return { ...(await super.describe()), implementation };
  }
}
