import { type Json, type Logger, refuseWhenOver, VdcError } from "@vdc-os/core";
import type { EnsureProcess, ProcessStatus } from "@vdc-os/core/host/v1";
import { isRunning, killProcess, type ProcessIdentity } from "@vdc-os/core/local";
import type { HostDirectory } from "./host-directory.ts";
import { limitLog } from "./limit-log.ts";
import { isStartedAgain, type ProcessRecord, readRecords, removeRecord, writeRecord } from "./process-record.ts";
import { findOwnedProcesses, killOwnedProcesses, type OwnedProcess } from "./process-table.ts";
import { SupervisedProcess } from "./supervised-process.ts";
import type { SupervisionContext } from "./supervision-context.ts";
import { whileWanted } from "./while-wanted.ts";

/** How often logs are looked at that may have grown too long, in milliseconds. */
const logLimitMs = 10_000;

/** Options of {@link Supervisor}. */
export interface SupervisorOptions {
  readonly directory: HostDirectory;
  readonly hostId: string;
  readonly bootId: string;
  readonly logger: Logger;
  readonly resolveFrom: string;
  /** The pause before a process that ended is started again, in milliseconds; it doubles with each failure. Defaults to 200. */
  readonly firstBackOffMs?: number | undefined;
  /** Defaults to 10_000. */
  readonly maxBackOffMs?: number | undefined;
}

/** A change of a process. */
export interface ProcessChange {
  readonly type: "added" | "modified" | "deleted";
  readonly object: ProcessStatus;
}

/**
 * Supervises a host's data-plane processes.
 *
 * The process table is the truth, the records are the intent: {@link Supervisor.open} brings the two together after any crash. What runs
 * and is wanted is adopted, what is wanted and does not run is started, what runs and is not wanted is killed.
 */
export class Supervisor {
  readonly #context: SupervisionContext;
  readonly #processes: Map<string, SupervisedProcess> = new Map();
  readonly #listeners: Set<(change: ProcessChange) => void> = new Set();
  #logLimit: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(options: SupervisorOptions) {
    this.#context = {
      ...options,
      firstBackOffMs: options.firstBackOffMs ?? 200,
      maxBackOffMs: options.maxBackOffMs ?? 10_000,
      onChange: (process, type) => this.#changed(process, type),
    };
  }

  static async open(options: SupervisorOptions): Promise<Supervisor> {
    const supervisor = new Supervisor(options);
    await supervisor.#converge();
    supervisor.#logLimit = setInterval(() => void supervisor.#limitLogs(), logLimitMs).unref();
    return supervisor;
  }

  /** Makes a process run. The spec is one that `checkSpec` has passed. */
  async ensure(spec: EnsureProcess, signal: AbortSignal): Promise<ProcessStatus> {
    this.#assertOpen();
    refuseWhenOver({ signal });
    let supervised = this.#processes.get(spec.processId);
    if (supervised !== undefined && supervised.spec.owner.datacenter !== spec.owner.datacenter) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `process '${spec.processId}' belongs to datacenter '${supervised.spec.owner.datacenter}'`,
        {
          reason: "VDC_PROCESS_OF_ANOTHER_OWNER",
        },
      );
    }
    if (supervised === undefined) {
      supervised = new SupervisedProcess(this.#context, { format: 1, spec, wanted: "running", restarts: 0 });
      this.#processes.set(spec.processId, supervised);
    }
    try {
      const status = await supervised.ensure(spec, signal);
      if (status !== undefined) return status;
    } catch (error) {
      // What was refused before anything was recorded leaves no trace. What its caller gave up may only be about to begin.
      const settled = supervised.idle().then(() => this.#retire(supervised));
      if (!signal.aborted) await settled;
      throw error;
    }
    this.#forget(supervised);
    return this.ensure(spec, signal);
  }

  /** Ends a process, and forgets it. Goes on when the signal aborts. */
  async remove(processId: string, graceMs?: number, signal?: AbortSignal): Promise<void> {
    this.#assertOpen();
    if (signal !== undefined) refuseWhenOver({ signal });
    const supervised = this.#processes.get(processId);
    if (supervised === undefined) return;
    const removal = supervised.remove(graceMs).then(() => this.#forget(supervised));
    await whileWanted(removal, signal, (error) => {
      this.#context.logger.error("a process could not be removed", { process: processId, error: String(error) });
    });
  }

  list(datacenter?: string): readonly ProcessStatus[] {
    return [...this.#processes.values()]
      .map((supervised) => supervised.status())
      .filter((status) => datacenter === undefined || status.owner.datacenter === datacenter)
      .sort((a, b) => (a.processId < b.processId ? -1 : 1));
  }

  async request(processId: string, method: string, params: Json, signal: AbortSignal): Promise<Json> {
    return this.#find(processId).request(method, params, signal);
  }

  /** The path of a process's log, and whether the process is still there. Throws `NOT_FOUND` for an unknown process. */
  logOf(processId: string): { readonly path: string; isThere(): boolean } {
    const supervised = this.#find(processId);
    return {
      path: this.#context.directory.log(processId),
      isThere: () => this.#processes.get(processId) === supervised,
    };
  }

  /** Hears of every change, until the returned function is called. */
  listen(listener: (change: ProcessChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ends the supervision. The processes go on, or are removed first. */
  async close(options: { readonly removeProcesses: boolean; readonly graceMs?: number }): Promise<void> {
    if (this.#closed) return;
    clearInterval(this.#logLimit);
    if (options.removeProcesses) {
      await Promise.all([...this.#processes.keys()].map((processId) => this.remove(processId, options.graceMs)));
    }
    this.#closed = true;
    for (const supervised of this.#processes.values()) supervised.release();
    await Promise.all([...this.#processes.values()].map((supervised) => supervised.idle()));
  }

  async #converge(): Promise<void> {
    const { directory, bootId } = this.#context;
    const records = await readRecords(directory);
    const owned = (await findOwnedProcesses(directory.root)).filter((entry) => entry.owner !== undefined);
    const known = new Set<string>();
    for (const record of records) {
      const { processId } = record.spec;
      const main = await findMain(record, owned, bootId);
      const wanted = record.wanted === "running";
      if (wanted && main !== undefined) {
        if (record.spawn !== undefined) known.add(record.spawn);
        const supervised = new SupervisedProcess(this.#context, record);
        this.#processes.set(processId, supervised);
        await supervised.adopt(main);
        continue;
      }
      await killOwnedProcesses(directory.root, (entry) => entry.processId === processId);
      if (main !== undefined) await killProcess(main);
      await this.#settle(record);
    }
    await killOwnedProcesses(
      directory.root,
      (entry) =>
        entry.owner !== undefined &&
        !(entry.spawn !== undefined && (known.has(entry.spawn) || this.#isSupervised(entry))),
    );
  }

  /** Whether it was started by this supervisor, since {@link Supervisor.open} began. */
  #isSupervised(entry: OwnedProcess): boolean {
    return entry.processId !== undefined && this.#processes.get(entry.processId)?.spawn === entry.spawn;
  }

  /** A record whose process does not run. */
  async #settle(record: ProcessRecord): Promise<void> {
    const { spec } = record;
    const always = isStartedAgain(spec);
    // An intent that was never acknowledged, for a process that runs once: the caller asks again, or has changed its mind.
    const abandoned = !always && record.pid === undefined && record.lastExit === undefined;
    if (record.wanted === "removed" || abandoned) return removeRecord(this.#context.directory, spec.processId);
    if (always && record.wanted === "running") {
      const revived = { ...record, restarts: record.restarts + 1, lastExit: "ended while no runtime watched" };
      const supervised = new SupervisedProcess(this.#context, revived);
      this.#processes.set(spec.processId, supervised);
      await supervised.revive().catch((error) => {
        this.#context.logger.error("a process could not be started again", {
          process: spec.processId,
          error: String(error),
        });
      });
      return;
    }
    const ended: ProcessRecord = {
      ...record,
      wanted: "ended",
      lastExit: record.wanted === "ended" ? record.lastExit : "ended while no runtime watched",
    };
    await writeRecord(this.#context.directory, ended);
    this.#processes.set(spec.processId, new SupervisedProcess(this.#context, ended));
  }

  async #limitLogs(): Promise<void> {
    for (const processId of this.#processes.keys()) {
      await limitLog(this.#context.directory.log(processId)).catch((error: unknown) => {
        this.#context.logger.warn("a log could not be begun anew", { process: processId, error: String(error) });
      });
    }
  }

  #forget(supervised: SupervisedProcess): void {
    const { processId } = supervised;
    if (this.#processes.get(processId) === supervised) this.#processes.delete(processId);
  }

  #retire(supervised: SupervisedProcess): void {
    if (supervised.retire()) this.#forget(supervised);
  }

  #find(processId: string): SupervisedProcess {
    const supervised = this.#processes.get(processId);
    if (supervised === undefined)
      throw new VdcError("NOT_FOUND", `host '${this.#context.hostId}' has no process '${processId}'`);
    return supervised;
  }

  #changed(supervised: SupervisedProcess, type: ProcessChange["type"]): void {
    for (const listener of this.#listeners) listener({ type, object: supervised.status() });
  }

  #assertOpen(): void {
    if (this.#closed) throw new VdcError("UNAVAILABLE", `the runtime of host '${this.#context.hostId}' is stopping`);
  }
}

async function findMain(
  record: ProcessRecord,
  owned: readonly OwnedProcess[],
  bootId: string,
): Promise<ProcessIdentity | undefined> {
  const { pid, startTicks } = record;
  if (record.bootId !== bootId) return undefined;
  if (pid !== undefined && startTicks !== undefined) {
    return (await isRunning({ pid, startTicks })) ? { pid, startTicks } : undefined;
  }
  // The runtime died between the spawn and the record: the session's leader with the recorded spawn is the process itself.
  return owned.find((entry) => entry.sessionLeader && entry.spawn !== undefined && entry.spawn === record.spawn);
}
