import { type Clock, type OperationContext, type Providers, refuseWhenOver, VdcError } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import type { MemoryVault } from "./memory-vault.ts";

/** What the repository is made with. */
export interface WorkshopOptions {
  readonly vault: MemoryVault;
  /** The storage providers whose disks are backed up, by their names. */
  readonly storages: Providers<StorageProvider>;
  /** The host that disks are attached to while they are read or written. */
  readonly host: string;
  readonly clock: Clock;
}

/** What runs and restores work with. They go one step after the other, and ask before each whether there is a next. */
export class Workshop {
  readonly vault: MemoryVault;
  readonly storages: Providers<StorageProvider>;
  readonly host: string;
  readonly clock: Clock;
  /** Whether the vault is this repository's. When another process has taken it over, nothing may be done any more. */
  readonly isOpen: () => boolean;
  readonly #busy = new Set<string>();

  constructor({ vault, storages, host, clock }: WorkshopOptions) {
    this.vault = vault;
    this.storages = storages;
    this.host = host;
    this.clock = clock;
    this.isOpen = vault.takeOver();
  }

  /** Throws when the caller has given up, or another process has the vault. */
  mustGoOn(context: OperationContext): void {
    refuseWhenOver(context);
    if (!this.isOpen()) throw new VdcError("UNAVAILABLE", "another process works on the repository now");
  }

  /** Lets others work, and throws when there is no next step. */
  async step(context: OperationContext): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.mustGoOn(context);
  }

  /** Works on something alone. Whoever comes meanwhile fails with `ABORTED`. */
  async alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy.has(what)) throw new VdcError("ABORTED", `another call works on ${what}`);
    this.#busy.add(what);
    try {
      return await work();
    } finally {
      this.#busy.delete(what);
    }
  }

  isBusy(what: string): boolean {
    return this.#busy.has(what);
  }
}
