import type { DatabaseSync } from "node:sqlite";
import { isVdcError, VdcError } from "@vdc-os/core";
import { isDiskFailure, sqliteFailure } from "./sqlite-failure.ts";
import type { StateTables } from "./state-tables.ts";

/** What one write may do. It checks first and writes then: it must not throw an error of its own once it has written. */
export type Write<T> = (commit: Commit) => T;

/** The commit that a write is part of. */
export interface Commit {
  /** Begins a new revision: what is put and deleted after this has it. */
  nextRevision(): number;
  /** Notes that a key changes, so that its watchers are told. */
  changed(key: string): void;
  /** Notes that the tables change without a new revision (a lease, a compaction). */
  touched(): void;
}

/** What a commit changed, told after it is on disk. */
export interface Committed {
  readonly before: number;
  readonly revision: number;
  readonly keys: readonly string[];
}

/** Options of {@link CommitQueue}. */
export interface CommitQueueOptions {
  readonly path: string;
  readonly tables: StateTables;
  /** Runs inside the commit, after the writes: what the commit should tidy up. */
  readonly tidy: (commit: Commit) => void;
  /** Runs after the commit, before the writers get their answers. */
  readonly onCommitted: (committed: Committed) => void;
}

interface Job {
  readonly run: Write<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  result?: unknown;
}

/** How many writes share one sync to disk at most, so that none of them waits for long. */
const maxBatch = 512;

/**
 * The one writer of the database. Writes that arrive in the same turn of the event loop share one commit, and so one sync to disk;
 * each is still whole, sees those before it, and gets its own answer, only after the sync.
 */
export class CommitQueue {
  readonly #database: DatabaseSync;
  readonly #options: CommitQueueOptions;
  #jobs: Job[] = [];
  #scheduled: NodeJS.Immediate | undefined;
  #refusal: VdcError | undefined;

  constructor(database: DatabaseSync, options: CommitQueueOptions) {
    this.#database = database;
    this.#options = options;
  }

  /** Resolves with what the write returned, once that is on disk. */
  write<T>(run: Write<T>): Promise<T> {
    if (this.#refusal !== undefined) return Promise.reject(this.#refusal);
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ run, resolve, reject });
      this.#scheduled ??= setImmediate(() => this.#turn());
    });
  }

  /** Commits what waits, then refuses everything else with this error. */
  close(refusal: VdcError): void {
    clearImmediate(this.#scheduled);
    while (this.#jobs.length > 0) this.#commit(this.#jobs.splice(0, maxBatch));
    this.#refusal = refusal;
  }

  #turn(): void {
    this.#scheduled = undefined;
    this.#commit(this.#jobs.splice(0, maxBatch));
    if (this.#jobs.length > 0) this.#scheduled ??= setImmediate(() => this.#turn());
  }

  #commit(jobs: readonly Job[]): void {
    if (this.#refusal !== undefined) {
      for (const job of jobs) job.reject(this.#refusal);
      return;
    }
    const { tables, tidy, onCommitted, path } = this.#options;
    const before = tables.revision;
    const keys: string[] = [];
    let dirty = false;
    const commit: Commit = {
      nextRevision: () => {
        dirty = true;
        tables.revision += 1;
        return tables.revision;
      },
      changed: (key) => void keys.push(key),
      touched: () => {
        dirty = true;
      },
    };
    const done: Job[] = [];
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const job of jobs) {
        try {
          job.result = job.run(commit);
          done.push(job);
        } catch (error) {
          // A coded error is the write's own answer, given before it changed anything. Anything else is the database's.
          if (!isVdcError(error) || error.code === "DATA_LOSS") throw error;
          job.reject(error);
        }
      }
      if (dirty) {
        tidy(commit);
        tables.saveCounters();
      }
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#fail(jobs, error, path);
      return;
    }
    if (keys.length > 0) onCommitted({ before, revision: tables.revision, keys });
    for (const job of done) job.resolve(job.result as never);
  }

  #fail(jobs: readonly Job[], error: unknown, path: string): void {
    let failure = sqliteFailure(path, error);
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#options.tables.reload();
    } catch (second) {
      failure = sqliteFailure(path, second);
      this.#refusal = failure;
    }
    // After a failed sync the kernel may have dropped the dirty pages: what is on disk can be known only by opening it anew.
    if (isDiskFailure(error)) {
      this.#refusal = new VdcError(
        failure.code,
        `${failure.message}; the store takes no more writes until it is opened again`,
        {
          reason: "VDC_STATE_STOPPED",
          cause: failure,
          retryable: false,
        },
      );
    }
    // A job that was rejected already ignores this.
    for (const job of jobs) job.reject(failure);
  }
}
