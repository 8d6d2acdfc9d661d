import { type Clock, createOperationContext, type Logger, type OperationContext } from "@vdc-os/core";
import type { KeyResolver } from "./key-resolver.ts";
import { servedOwner } from "./layer-changes.ts";
import { readersOf } from "./readers-of.ts";
import type { StorageProcesses } from "./storage-processes.ts";
import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** Options of {@link KeyDelivery}. */
export interface KeyDeliveryOptions {
  readonly catalog: VolumeCatalog;
  readonly processes: StorageProcesses;
  readonly keys: KeyResolver;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Finishes a change of key that was cut short. */
  readonly resume: (entry: VolumeEntry, context: OperationContext) => Promise<void>;
}

/** What a storage process serves: a volume, or one of its snapshots. */
interface Served {
  readonly volumeId: string;
  readonly snapshotId?: string | undefined;
}

/** How often storage processes are asked which keys they need, in milliseconds. */
const intervalMs = 500;
/** How long one host may take to answer, in milliseconds. */
const timeoutMs = 10_000;
/** How long until a change of key that can't be finished is tried again, in milliseconds: each time twice as long, up to the second. */
const [firstResumeMs, lastResumeMs] = [500, 60_000];

/**
 * Brings keys to storage processes that serve encrypted volumes. A process gets them with each attachment and has them in memory alone; one that was killed
 * and started again asks for them, and its volumes wait meanwhile, as their VMs do by reconnecting. Changes of keys that were cut short are finished here too. Runs while
 * there is something of that to do.
 */
export class KeyDelivery {
  readonly #options: KeyDeliveryOptions;
  readonly #stopped = new AbortController();
  /** When a change of key that could not be finished is tried again, and how long that was waited for. */
  readonly #resuming = new Map<VolumeEntry, { readonly at: number; readonly waitMs: number }>();
  #resumed: Promise<void> | undefined;
  /** Of which it was said already that they wait. */
  readonly #told = new Set<string>();
  #running = false;

  constructor(options: KeyDeliveryOptions) {
    this.#options = options;
  }

  /** Begins to ask the processes, if it is not done already. */
  watch(): void {
    if (this.#running || this.#stopped.signal.aborted || this.#isIdle) return;
    this.#running = true;
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
  }

  /**
   * Gives the keys that a volume has now to every process that has its images open: its own, those that show its snapshots, and those of the volumes that read
   * from it. One that can't be reached asks for them.
   */
  async spread(entry: VolumeEntry, context: OperationContext): Promise<void> {
    for (const reader of readersOf(this.#options.catalog, entry)) {
      for (const [host, served] of servedOf(reader)) await this.#deliver(host, served, context).catch(() => {});
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    const { clock, logger } = this.#options;
    while (!signal.aborted && !this.#isIdle) {
      // It may take long, and nobody's keys wait for it.
      this.#resumed ??= this.#resume().finally(() => {
        this.#resumed = undefined;
      });
      // A host that hangs keeps no other waiting for longer than that.
      await Promise.all(
        [...this.#hosts()].map((host) =>
          this.#ask(
            host,
            createOperationContext({ signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) }),
          ).catch((error) => logger.debug("keys were not brought to a host", { host, error: String(error) })),
        ),
      );
      await clock.sleep(intervalMs, { signal }).catch(() => {});
    }
    this.#running = false;
  }

  get #isIdle(): boolean {
    return this.#hosts().size === 0 && this.#unfinished().length === 0;
  }

  async #resume(): Promise<void> {
    const { clock, logger, resume } = this.#options;
    for (const entry of this.#unfinished()) {
      const { at, waitMs } = this.#resuming.get(entry) ?? { at: Number.NEGATIVE_INFINITY, waitMs: firstResumeMs / 2 };
      if (clock.monotonic() < at) continue;
      if (entry.changeIn("content") !== undefined) continue;
      try {
        await resume(entry, createOperationContext({ signal: this.#stopped.signal }));
        this.#resuming.delete(entry);
      } catch (error) {
        if (this.#stopped.signal.aborted) return;
        const nextMs = Math.min(lastResumeMs, waitMs * 2);
        this.#resuming.set(entry, { at: clock.monotonic() + nextMs, waitMs: nextMs });
        logger.warn("a change of a volume's key waits", { volumeId: entry.volumeId, error: String(error) });
      }
    }
  }

  #unfinished(): readonly VolumeEntry[] {
    return [...this.#options.catalog.entries].filter(({ record }) => record.encryption?.nextKey !== undefined);
  }

  async #ask(host: string, context: OperationContext): Promise<void> {
    const { processes, logger } = this.#options;
    const { needsKey = [] } = (await processes.request(host, "status", {}, context)) as {
      readonly needsKey?: readonly Served[];
    };
    for (const served of needsKey) {
      const { volumeId, snapshotId = "" } = served;
      const id = `${host} ${volumeId} ${snapshotId}`;
      try {
        await this.#deliver(host, served, context);
        this.#told.delete(id);
      } catch (error) {
        if (this.#told.has(id)) continue;
        this.#told.add(id);
        logger.warn("a volume waits for its key", { volumeId, host, error: String(error) });
      }
    }
  }

  async #deliver(host: string, served: Served, context: OperationContext): Promise<void> {
    const { catalog, keys, processes } = this.#options;
    const entry = catalog.find(served.volumeId);
    // Only what the record says is served there.
    if (
      entry === undefined ||
      !servedOf(entry).some(([at, one]) => at === host && one.snapshotId === served.snapshotId)
    )
      return;
    const wire = (await keys.keysOf(entry, context)).wire();
    if (wire === undefined) return;
    const { volumeId, snapshotId } = served;
    const params = { volumeId, ...(snapshotId === undefined ? {} : { snapshotId }), keys: wire };
    await processes.request(host, "unlock", params, context);
  }

  /** The hosts on which something encrypted is served. What reads from an encrypted volume is encrypted itself. */
  #hosts(): ReadonlySet<string> {
    const hosts = new Set<string>();
    for (const entry of this.#options.catalog.entries) {
      if (entry.record.encryption === undefined) continue;
      for (const [host] of servedOf(entry)) hosts.add(host);
    }
    return hosts;
  }
}

/** What is served of a volume, and where. */
function servedOf({ record, volumeId }: VolumeEntry): (readonly [host: string, served: Served])[] {
  const owner = servedOwner(record);
  const snapshots = (record.snapshots ?? []).flatMap(({ snapshotId, readers = [] }) =>
    readers.map(({ host }): readonly [string, Served] => [host, { volumeId, snapshotId }]),
  );
  return owner === undefined ? snapshots : [[owner.host, { volumeId }], ...snapshots];
}
