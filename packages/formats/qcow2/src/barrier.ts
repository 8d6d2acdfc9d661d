import type { Allocator } from "./allocator.ts";
import type { ImageFile } from "./file-layer.ts";
import type { Mapping } from "./mapping.ts";
import type { MappingJournal } from "./mapping-journal.ts";
import { Qcow2Error, toQcow2Error } from "./qcow2-error.ts";
import type { RefcountTable } from "./refcount-table.ts";
import type { PendingWrite, Table } from "./table-cache.ts";

interface FlushJob {
  /** Each phase is written, then synced, before the next begins. */
  readonly phases: readonly (readonly PendingWrite[])[];
  readonly tables: readonly Table[];
  readonly frees: readonly number[];
  phase: number;
  written: boolean;
}

export interface BarrierOptions {
  readonly file: ImageFile;
  readonly refcounts: RefcountTable;
  readonly mapping: Mapping;
  readonly allocator: Allocator;
  /** Whether flushes leave refcounts in memory; `flushAllSync` never does. */
  readonly lazyCounts: boolean;
  /** Is told what is about to become durable, and what is. */
  readonly journal: MappingJournal | undefined;
}

/**
 * Makes everything written so far durable in an order that a crash cannot turn into corruption:
 * data and refcounts | refcount table entries | L2 slices | L1 entries, with a sync after each part that is not empty.
 * Only then do removed clusters become free.
 *
 * A flush works on copies taken when it starts, so writing goes on while it waits for the disk.
 * When a sync fails, what reached the disk is unknown for good: the image then refuses all further writing (`FAILED`).
 */
export class Barrier {
  readonly #options: BarrierOptions;
  /** With lazy refcounts a flush leaves the counts in memory: the dirty bit says so, and a crash has them counted anew. */
  readonly #lazyCounts: boolean;
  #dataWritten = false;
  #job: FlushJob | undefined;
  #running: Promise<void> | undefined;
  #queued: Promise<void> | undefined;
  #failure: Qcow2Error | undefined;

  constructor(options: BarrierOptions) {
    this.#options = options;
    this.#lazyCounts = options.lazyCounts;
  }

  /** Guest data went to the file since the last flush began. */
  noteDataWritten(): void {
    this.#dataWritten = true;
  }

  /** Throws `FAILED` once a sync has failed. */
  assertUsable(): void {
    if (this.#failure) {
      throw new Qcow2Error("FAILED", `'${this.#options.file.path}' must be reopened: ${this.#failure.message}`, {
        cause: this.#failure,
      });
    }
  }

  /** Stops all further writing. */
  fail(error: Qcow2Error): void {
    this.#failure ??= error;
  }

  /** Makes what was written to the file durable, and nothing else; for tables that are written past the caches. */
  syncSync(): void {
    this.assertUsable();
    try {
      this.#options.file.syncSync();
    } catch (error) {
      throw this.#syncFailed(error);
    }
  }

  /** As `flushSync`, until nothing is left: what one flush frees, the next one counts as free. Lazy refcounts are written too. */
  flushAllSync(): void {
    this.flushSync();
    while (this.#hasChanges(true)) {
      this.settleSync();
      this.#begin(true);
      this.settleSync();
    }
    this.#options.journal?.reset();
  }

  /** Completes a flush that is under way, and begins no other. */
  settleSync(): void {
    this.assertUsable();
    while (this.#job) {
      const job = this.#job;
      this.#writePhase(job);
      try {
        this.#options.file.syncSync();
      } catch (error) {
        throw this.#syncFailed(error);
      }
      this.#phaseDone(job, job.phase);
    }
  }

  flushSync(): void {
    this.settleSync();
    this.#begin();
    this.settleSync();
  }

  /**
   * As `flushSync`, waiting for the disk off the main thread. A call that comes while a flush runs shares that one when nothing was changed since it began,
   * else the next one.
   */
  flush(): Promise<void> {
    if (this.#queued) return this.#queued;
    if (this.#running) {
      if (!this.#isChanged(!this.#lazyCounts)) return this.#running;
      this.#queued = this.#running
        .catch(() => undefined)
        .then(() => {
          this.#queued = undefined;
          return this.#run();
        });
      return this.#queued;
    }
    return this.#run();
  }

  #run(): Promise<void> {
    this.#running = this.#flushOnce().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #flushOnce(): Promise<void> {
    // Two rounds: a job that a full disk interrupted comes first, then what was written since.
    await this.#drain();
    this.#begin();
    await this.#drain();
  }

  async #drain(): Promise<void> {
    this.assertUsable();
    while (this.#job) {
      const job = this.#job;
      const { phase } = job;
      this.#writePhase(job);
      try {
        await this.#options.file.sync();
      } catch (error) {
        throw this.#syncFailed(error);
      }
      this.assertUsable();
      this.#phaseDone(job, phase);
    }
  }

  #begin(withCounts: boolean = !this.#lazyCounts): void {
    this.assertUsable();
    const { refcounts, mapping, allocator } = this.#options;
    if (!this.#isChanged(withCounts)) return;
    try {
      if (withCounts) refcounts.writeDirtyBlocks();
    } catch (error) {
      throw toQcow2Error(error, `cannot flush '${this.#options.file.path}'`);
    }
    this.#dataWritten = false;
    this.#options.journal?.rotate();
    const table = withCounts ? refcounts.takeTableWrites() : [];
    const l2 = mapping.takeL2Writes();
    const l1 = mapping.takeL1Writes();
    const later = [table, l2.writes, l1].filter((writes) => writes.length > 0);
    this.#job = {
      phases: [[], ...later],
      tables: l2.tables,
      frees: allocator.takePendingFrees(),
      phase: 0,
      written: false,
    };
  }

  /** Whether anything was written that no flush has begun with. */
  #isChanged(withCounts: boolean): boolean {
    return this.#dataWritten || this.#hasChanges(withCounts);
  }

  #hasChanges(withCounts: boolean): boolean {
    const { refcounts, mapping, allocator } = this.#options;
    return allocator.hasPendingFrees || mapping.hasChanges || (withCounts && refcounts.hasChanges);
  }

  #writePhase(job: FlushJob): void {
    if (job.written) return;
    try {
      for (const write of job.phases[job.phase] ?? []) this.#options.file.writeSync(write.data, write.position);
    } catch (error) {
      throw toQcow2Error(error, `cannot flush '${this.#options.file.path}'`);
    }
    job.written = true;
  }

  /** A sync that began at `phase` has ended; a synchronous flush may have carried the job on meanwhile. */
  #phaseDone(job: FlushJob, phase: number): void {
    if (this.#job !== job || job.phase !== phase) return;
    job.phase++;
    job.written = false;
    if (job.phase < job.phases.length) return;
    this.#job = undefined;
    for (const table of job.tables) table.pins--;
    this.#options.allocator.applyFrees(job.frees);
  }

  #syncFailed(error: unknown): Qcow2Error {
    const failure = toQcow2Error(error, `cannot sync '${this.#options.file.path}'`);
    this.#failure ??= failure;
    return failure;
  }
}
