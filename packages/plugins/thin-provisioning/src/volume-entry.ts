import { VdcError } from "@vdc-os/core";
import type { VolumeRecord } from "./volume-record.ts";

/** What a call changes: the volume's content and shape, or who may use it. A fence must not wait for a long copy, so they are apart; nor must a checkpoint. */
export type ChangeDomain = "content" | "attachment" | "tracking";

const none: ReadonlySet<string> = new Set();

/** A volume in memory: its record as it is on disk, and what is going on with it. */
export class VolumeEntry {
  record: VolumeRecord;
  /** Ids of the volumes that read from this one. */
  readonly children: Set<string> = new Set();
  /** Ids of the volumes that read from a snapshot of it, by the snapshot's id. */
  readonly snapshotChildren: Map<string, Set<string>> = new Map();
  /** Overlays of it that are being made. It is neither deleted nor made writable meanwhile. */
  pins = 0;
  /** Snapshots of it that overlays are being made of, one entry for each. */
  readonly snapshotPins: string[] = [];
  removed = false;
  /** The last write of the record, so that writes come one after the other. */
  writing: Promise<void> = Promise.resolve();
  readonly #changes = new Map<ChangeDomain, string>();
  #bringToDisk: (() => Promise<void>) | undefined;
  #persisting: Promise<void> | undefined;

  /** With `bringToDisk`, its folder is not on disk yet, and that makes it so. */
  constructor(record: VolumeRecord, bringToDisk?: () => Promise<void>) {
    this.record = record;
    this.#bringToDisk = bringToDisk;
  }

  get volumeId(): string {
    return this.record.volumeId;
  }

  /** Whether others read from it, or soon will. */
  get isParent(): boolean {
    return this.children.size > 0 || this.pins > 0;
  }

  /** Ids of the volumes that read from a snapshot. */
  childrenOf(snapshotId: string): ReadonlySet<string> {
    return this.snapshotChildren.get(snapshotId) ?? none;
  }

  /** Enters a volume that reads from this one, or from a snapshot of it, or takes it out. */
  setChild(volumeId: string, snapshotId: string | undefined, present: boolean): void {
    let children = this.children;
    if (snapshotId !== undefined) {
      children = this.snapshotChildren.get(snapshotId) ?? new Set();
      this.snapshotChildren.set(snapshotId, children);
    }
    if (present) children.add(volumeId);
    else children.delete(volumeId);
    if (snapshotId !== undefined && children.size === 0) this.snapshotChildren.delete(snapshotId);
  }

  /** Whether nobody has used it since it was made: then its files are what follows from its record, and may be absent. */
  get isPristine(): boolean {
    return this.#bringToDisk !== undefined;
  }

  /** Resolves when the volume's folder is on disk: before anything in it is changed. */
  persist(): Promise<void> {
    if (this.#bringToDisk === undefined || this.removed) return Promise.resolve();
    this.#persisting ??= this.#bringToDisk().then(
      () => {
        this.#bringToDisk = undefined;
      },
      (error) => {
        this.#persisting = undefined;
        throw error;
      },
    );
    return this.#persisting;
  }

  /** What changes it now, if anything does. */
  changeIn(domain: ChangeDomain): string | undefined {
    return this.#changes.get(domain);
  }

  /**
   * Runs a change alone in its domains, once the volume's folder is on disk; with `isEnd` the change needs no folder. Throws `ABORTED` when another
   * one runs there: the caller tries again.
   */
  async change<T>(
    domains: readonly ChangeDomain[],
    what: string,
    run: () => Promise<T>,
    { isEnd = false }: { readonly isEnd?: boolean } = {},
  ): Promise<T> {
    for (const domain of domains) {
      const running = this.#changes.get(domain);
      if (running !== undefined) {
        throw new VdcError("ABORTED", `volume '${this.record.name}' is busy with ${running}: try ${what} again`, {
          reason: "VDC_VOLUME_BUSY",
          blockers: [{ kind: "operation", name: running }],
        });
      }
    }
    for (const domain of domains) this.#changes.set(domain, what);
    try {
      if (!isEnd && this.#bringToDisk !== undefined) await this.persist();
      return await run();
    } finally {
      for (const domain of domains) this.#changes.delete(domain);
    }
  }
}
