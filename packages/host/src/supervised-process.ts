import type { ChildProcess } from "node:child_process";
import { isDeepStrictEqual } from "node:util";
import { type Json, type Logger, refuseWhenOver, VdcError } from "@vdc-os/core";
import type { EnsureProcess, ProcessState, ProcessStatus } from "@vdc-os/core/host/v1";
import { identifyProcess, isRunning, killProcess, type ProcessIdentity, signalProcess } from "@vdc-os/core/local";
import { ControlLink } from "./control-link.ts";
import type { HostDirectory } from "./host-directory.ts";
import { type ProcessRecord, removeRecord, writeRecord } from "./process-record.ts";
import { killOwnedProcesses } from "./process-table.ts";
import { readTail } from "./read-log.ts";
import { prepareEnvironment, resolveProgram, spawnProcess } from "./spawn-process.ts";
import { whileWanted } from "./while-wanted.ts";

/** What supervised processes share. */
export interface SupervisionContext {
  readonly directory: HostDirectory;
  readonly hostId: string;
  readonly bootId: string;
  readonly logger: Logger;
  /** Where module specifiers are resolved from: a file's path or URL. */
  readonly resolveFrom: string;
  readonly firstBackOffMs: number;
  readonly maxBackOffMs: number;
  /** Hears of every change of a status. */
  readonly onChange: (process: SupervisedProcess, type: "added" | "modified" | "deleted") => void;
}

const defaultReadyTimeoutMs = 15_000;
const defaultGraceMs = 5_000;
/** A process that ran for so long has recovered: its next end begins with the first back-off again. */
const recoveredAfterMs = 30_000;
/** How `lastExit` begins for a program that is not there. */
const couldNot = "could not be started";
const adoptedPollMs = 200;

/** One supervised process: it is started, watched, started again, adopted and ended here. Changes of its life are made one at a time. */
export class SupervisedProcess {
  readonly #context: SupervisionContext;
  readonly #control: ControlLink;
  #record: ProcessRecord;
  #state: ProcessState = "exited";
  #child: ChildProcess | undefined;
  #poll: NodeJS.Timeout | undefined;
  #backOff: NodeJS.Timeout | undefined;
  #failures = 0;
  #busy: Promise<unknown> = Promise.resolve();
  #readiness: AbortController | undefined;
  readonly #listeners: Set<() => void> = new Set();
  /** Set when the runtime lets go of the process: nothing is done for it any more. */
  #released = false;
  /** Set when the process was removed: whoever waits for it is told. */
  #removed = false;
  /** Whether it has answered, or a command was started, since its spec was asked for. What ended before this runtime began has. */
  #answered = true;

  constructor(context: SupervisionContext, record: ProcessRecord) {
    this.#context = context;
    this.#record = record;
    this.#control = new ControlLink(context.directory, record.spec.processId);
  }

  get processId(): string {
    return this.#record.spec.processId;
  }

  get spec(): EnsureProcess {
    return this.#record.spec;
  }

  /** Names its present start. */
  get spawn(): string | undefined {
    return this.#record.spawn;
  }

  status(): ProcessStatus {
    const { spec, pid, startedAt, restarts, lastExit } = this.#record;
    const alive = this.#state === "running" || this.#state === "starting";
    return {
      processId: spec.processId,
      owner: spec.owner,
      state: this.#state,
      ...(alive && pid !== undefined ? { pid } : {}),
      ...(alive && startedAt !== undefined ? { startedAt } : {}),
      restarts,
      ...(spec.program.kind === "module" ? { controlSocket: this.#control.socket } : {}),
      ...(lastExit === undefined ? {} : { lastExit }),
    };
  }

  /** Takes over a process that runs already. */
  async adopt(identity: ProcessIdentity): Promise<void> {
    this.#answered = false;
    await this.#serialise(async () => {
      if (this.#record.pid !== identity.pid || this.#record.startTicks !== identity.startTicks) {
        await this.#write({ ...this.#record, ...identity, bootId: this.#context.bootId, startedAt: Date.now() });
      }
      this.#watchAdopted(identity, this.#record.spawn);
      this.#started();
    });
  }

  /** Starts a process that has a record and does not run. */
  async revive(): Promise<void> {
    await this.#serialise(() => this.#launch());
  }

  /**
   * Makes the process run as the spec says, and waits until it is ready. Answers `undefined` when it was removed before its turn came: the id is free, so that
   * another one may be made.
   */
  async ensure(spec: EnsureProcess, signal: AbortSignal): Promise<ProcessStatus | undefined> {
    let isGone = false;
    const begun = this.#serialise(async () => {
      isGone = this.#removed;
      if (isGone) return;
      if (this.#released) throw new VdcError("UNAVAILABLE", `the runtime of process '${this.processId}' is stopping`);
      const isNew = this.#record.spawn === undefined;
      if (!isNew && !this.#hasFailed() && isDeepStrictEqual(this.#record.spec, spec)) return;
      resolveProgram(spec, this.#context.resolveFrom);
      if (!isNew) await this.#end(defaultGraceMs);
      this.#failures = 0;
      this.#answered = false;
      this.#record = { format: 1, spec, wanted: "running", restarts: 0 };
      await this.#launch();
    });
    await whileWanted(begun, signal);
    if (isGone) return undefined;
    await this.#settled(spec.readyTimeoutMs ?? defaultReadyTimeoutMs, signal);
    return this.status();
  }

  /** Ends the process and forgets it. */
  async remove(graceMs: number = defaultGraceMs): Promise<void> {
    clearTimeout(this.#backOff);
    await this.#serialise(async () => {
      if (this.#released) return;
      await this.#write({ ...this.#record, wanted: "removed" });
      await this.#end(graceMs);
      await removeRecord(this.#context.directory, this.processId);
      this.#removed = true;
      this.release();
      this.#state = "exited";
      this.#context.onChange(this, "deleted");
      for (const listener of this.#listeners) listener();
    });
  }

  /** Retires it if it was never started: whatever was asked of it was refused. */
  retire(): boolean {
    if (this.#record.spawn !== undefined || this.#removed) return false;
    this.#removed = true;
    this.release();
    return true;
  }

  /** Lets go of the process, which goes on. */
  release(): void {
    this.#released = true;
    clearTimeout(this.#backOff);
    clearInterval(this.#poll);
    this.#readiness?.abort();
    this.#child?.removeAllListeners();
    this.#child?.unref();
    this.#control.drop();
  }

  /** Waits for what is being done, after {@link release}. */
  async idle(): Promise<void> {
    await this.#busy.catch(() => {});
  }

  /** Calls a method of its control protocol. */
  async request(method: string, params: Json, signal: AbortSignal): Promise<Json> {
    if (this.spec.program.kind !== "module") {
      throw new VdcError("UNIMPLEMENTED", `process '${this.processId}' is a command: it has no control protocol`);
    }
    if (this.#state !== "running") {
      throw new VdcError("UNAVAILABLE", `process '${this.processId}' is ${this.#state}`, {
        reason: "VDC_PROCESS_NOT_READY",
      });
    }
    const control = await this.#control.connect();
    return control.request(method, params, { signal });
  }

  async #launch(): Promise<void> {
    if (this.#released || this.#record.wanted !== "running") return;
    const { directory, bootId, hostId } = this.#context;
    const { spec } = this.#record;
    const program = resolveProgram(spec, this.#context.resolveFrom);
    const spawn = crypto.randomUUID();
    const { pid: _pid, startTicks: _ticks, startedAt: _at, ...rest } = this.#record;
    await this.#write({ ...rest, spawn, bootId });
    const environment = await prepareEnvironment(spec, { directory, hostId, spawn });
    const child = spawnProcess(program, { environment, log: directory.log(spec.processId), cwd: directory.root });
    this.#child = child;
    this.#state = "starting";
    const failed = await new Promise<Error | undefined>((resolve) => {
      child.once("spawn", () => resolve(undefined));
      child.once("error", resolve);
    });
    if (failed !== undefined) return this.#ended(spawn, `${couldNot}: ${failed.message}`);
    child.unref();
    const identity = await identifyProcess(child.pid as number);
    const onExit = (code: number | null, signal: NodeJS.Signals | null): void => {
      const text = signal === null ? `exit code ${code}` : `signal ${signal}`;
      void this.#serialise(() => this.#ended(spawn, text)).catch((error) =>
        this.#complain("its end was not handled", error),
      );
    };
    if (child.exitCode !== null || child.signalCode !== null) onExit(child.exitCode, child.signalCode);
    else child.once("exit", onExit);
    await this.#write({ ...this.#record, pid: child.pid, startTicks: identity?.startTicks, startedAt: Date.now() });
    this.#started();
  }

  /** The process is there. A command has started with that; a module is ready once it answers. */
  #started(): void {
    if (this.spec.program.kind === "command") {
      this.#answered = true;
      this.#move("running");
      return;
    }
    this.#move("starting");
    const readiness = new AbortController();
    this.#readiness?.abort();
    this.#readiness = readiness;
    void this.#awaitReady(readiness.signal);
  }

  async #awaitReady(signal: AbortSignal): Promise<void> {
    const isReady = await this.#control.awaitAnswer(this.spec.readyTimeoutMs ?? defaultReadyTimeoutMs, signal);
    if (signal.aborted) return;
    if (isReady) {
      this.#answered = true;
      this.#move("running");
      return;
    }
    this.#complain("it did not answer on its control socket in time and is killed", undefined);
    const identity = this.#identity();
    if (identity !== undefined) await signalProcess(identity, "SIGKILL");
  }

  /** The process of start `spawn` has ended. */
  async #ended(spawn: string | undefined, lastExit: string): Promise<void> {
    if (this.#released || this.#record.spawn !== spawn || this.#record.wanted !== "running") return;
    this.#readiness?.abort();
    clearInterval(this.#poll);
    this.#control.drop();
    // What it started and left behind would fight with what is started next.
    await killOwnedProcesses(this.#context.directory.root, (owned) => owned.spawn === spawn);
    const { spec, startedAt } = this.#record;
    const again = (spec.restart ?? (spec.program.kind === "module" ? "always" : "never")) === "always";
    if (!again) {
      await this.#write({ ...this.#record, wanted: "ended", lastExit });
      this.#move("exited");
      return;
    }
    if (startedAt !== undefined && Date.now() - startedAt > recoveredAfterMs) this.#failures = 0;
    const { firstBackOffMs, maxBackOffMs } = this.#context;
    const pauseMs = Math.min(maxBackOffMs, firstBackOffMs * 2 ** this.#failures++);
    await this.#write({ ...this.#record, restarts: this.#record.restarts + 1, lastExit });
    this.#context.logger.warn("a data-plane process ended and is started again", {
      process: this.processId,
      lastExit,
      pauseMs,
    });
    this.#move("backingOff");
    this.#backOff = setTimeout(() => {
      void this.#serialise(() => this.#launch()).catch((error) => this.#complain("it was not started again", error));
    }, pauseMs);
  }

  /** SIGTERM, then SIGKILL for it and everything that it started. */
  async #end(graceMs: number): Promise<void> {
    clearTimeout(this.#backOff);
    clearInterval(this.#poll);
    this.#readiness?.abort();
    this.#child?.removeAllListeners("exit");
    const identity = this.#identity();
    if (identity !== undefined && graceMs > 0 && (await signalProcess(identity, "SIGTERM"))) {
      const giveUp = performance.now() + graceMs;
      while (performance.now() < giveUp && (await isRunning(identity))) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
    this.#control.drop();
    if (identity !== undefined) await killProcess(identity);
    const { processId } = this;
    await killOwnedProcesses(this.#context.directory.root, (owned) => owned.processId === processId);
    this.#child = undefined;
  }

  #watchAdopted(identity: ProcessIdentity, spawn: string | undefined): void {
    clearInterval(this.#poll);
    this.#poll = setInterval(() => {
      void isRunning(identity).then((running) => {
        if (running) return;
        clearInterval(this.#poll);
        // Its exit status went to the parent that it no longer had.
        return this.#serialise(() => this.#ended(spawn, "ended, unknown how"));
      });
    }, adoptedPollMs).unref();
  }

  #identity(): ProcessIdentity | undefined {
    const { pid, startTicks, bootId } = this.#record;
    return pid === undefined || startTicks === undefined || bootId !== this.#context.bootId
      ? undefined
      : { pid, startTicks };
  }

  async #settled(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const isStarted = (): boolean => this.#answered && this.spec.program.kind === "command";
    const isSettled = (): boolean =>
      this.#state === "running" || isStarted() || (this.#state === "exited" && this.#record.wanted !== "running");
    const deadline = performance.now() + timeoutMs;
    while (!isSettled() && performance.now() < deadline && !this.#released) {
      refuseWhenOver({ signal });
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          signal.removeEventListener("abort", done);
          this.#listeners.delete(done);
          resolve();
        };
        const timer = setTimeout(done, Math.max(1, deadline - performance.now()));
        this.#listeners.add(done);
        signal.addEventListener("abort", done, { once: true });
      });
    }
    refuseWhenOver({ signal });
    if (this.#removed) throw new VdcError("ABORTED", `process '${this.processId}' was removed meanwhile`);
    const { lastExit } = this.#record;
    if (this.#state === "running" || isStarted() || (this.#state === "exited" && !this.#hasFailed())) return;
    const tail = await readTail(this.#context.directory.log(this.processId), 2000);
    throw new VdcError(
      this.#state === "exited" ? "FAILED_PRECONDITION" : "UNAVAILABLE",
      `process '${this.processId}' is not ready (${this.#state}${lastExit === undefined ? "" : `, last ${lastExit}`})${tail === "" ? "" : `; it wrote: ${tail}`}`,
      { reason: this.#state === "exited" ? "VDC_PROCESS_NOT_STARTED" : "VDC_PROCESS_NOT_READY" },
    );
  }

  /** Whether it has ended for good without ever having been there: whoever asks for it again has it tried again. */
  #hasFailed(): boolean {
    const { wanted, lastExit } = this.#record;
    return wanted === "ended" && (!this.#answered || lastExit?.startsWith(couldNot) === true);
  }

  async #write(record: ProcessRecord): Promise<void> {
    this.#record = record;
    await writeRecord(this.#context.directory, record);
  }

  #move(state: ProcessState): void {
    this.#state = state;
    this.#context.onChange(this, "modified");
    for (const listener of this.#listeners) listener();
  }

  #serialise<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(run, run);
    this.#busy = result.catch(() => {});
    return result;
  }

  #complain(what: string, error: unknown): void {
    this.#context.logger.error(
      `process '${this.processId}': ${what}`,
      error === undefined ? {} : { error: String(error) },
    );
  }
}
