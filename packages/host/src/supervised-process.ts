import type { ChildProcess } from "node:child_process";
import { isDeepStrictEqual } from "node:util";
import { type Json, VdcError } from "@vdc-os/core";
import type { EnsureProcess, ProcessState, ProcessStatus } from "@vdc-os/core/host/v1";
import { identifyProcess, type ProcessIdentity, signalProcess } from "@vdc-os/core/local";
import { awaitThere, type Standing } from "./await-there.ts";
import { BackOff } from "./back-off.ts";
import { ControlLink } from "./control-link.ts";
import { askToEnd, killWithDescendants, watchAdopted, watchChild } from "./end-process.ts";
import {
  isNoStart,
  noStart,
  type ProcessRecord,
  recordOfEnd,
  removeRecord,
  statusOf,
  writeRecord,
} from "./process-record.ts";
import { killOwnedProcesses } from "./process-table.ts";
import { resolveProgram, startProcess } from "./spawn-process.ts";
import type { SupervisionContext } from "./supervision-context.ts";
import { whileWanted } from "./while-wanted.ts";

const defaultReadyTimeoutMs = 15_000;
const defaultGraceMs = 5_000;

/** One supervised process: it is started, watched, started again, adopted and ended here. Changes of its life are made one at a time. */
export class SupervisedProcess {
  readonly #context: SupervisionContext;
  readonly #control: ControlLink;
  readonly #backOff: BackOff;
  #record: ProcessRecord;
  #state: ProcessState = "exited";
  #stopWatching: () => void = () => {};
  #busy: Promise<unknown> = Promise.resolve();
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
    this.#backOff = new BackOff(context);
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
    const isModule = this.spec.program.kind === "module";
    return statusOf(this.#record, this.#state, isModule ? this.#control.socket : undefined);
  }

  /** How it stands to what was asked for. */
  get standing(): Standing {
    if (this.#removed) return "removed";
    const isStarted = this.#answered && this.spec.program.kind === "command";
    if (this.#state === "running" || isStarted) return "there";
    if (this.#state === "exited" && this.#record.wanted !== "running") return this.#hasFailed() ? "failed" : "there";
    return this.#released ? "released" : "pending";
  }

  /** Hears of each change, until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes over a process that runs already. */
  async adopt(identity: ProcessIdentity): Promise<void> {
    this.#answered = false;
    await this.#serialise(async () => {
      if (this.#record.pid !== identity.pid || this.#record.startTicks !== identity.startTicks) {
        await this.#write({ ...this.#record, ...identity, bootId: this.#context.bootId, startedAt: Date.now() });
      }
      const { spawn } = this.#record;
      this.#stopWatching = watchAdopted(identity, (lastExit) => this.#onEnd(spawn, lastExit));
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
      // A path that is too long is refused before anything is on record.
      if (spec.program.kind === "module") void this.#control.socket;
      if (!isNew) await this.#end(defaultGraceMs);
      this.#backOff.reset();
      this.#answered = false;
      this.#record = { format: 1, spec, wanted: "running", restarts: 0 };
      await this.#launch();
    });
    await whileWanted(begun, signal);
    if (isGone) return undefined;
    const log = this.#context.directory.log(this.processId);
    return awaitThere(this, { log, timeoutMs: spec.readyTimeoutMs ?? defaultReadyTimeoutMs, signal });
  }

  /** Ends the process and forgets it. */
  async remove(graceMs: number = defaultGraceMs): Promise<void> {
    this.#backOff.cancel();
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
    this.#backOff.cancel();
    this.#stopWatching();
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
    const { directory, bootId, hostId, resolveFrom } = this.#context;
    const { spec } = this.#record;
    const spawn = crypto.randomUUID();
    const { pid: _pid, startTicks: _ticks, startedAt: _at, ...rest } = this.#record;
    await this.#write({ ...rest, spawn, bootId });
    let child: ChildProcess;
    try {
      this.#state = "starting";
      child = await startProcess(spec, resolveProgram(spec, resolveFrom), { directory, hostId, spawn });
    } catch (error) {
      return this.#ended(spawn, noStart(error));
    }
    const identity = await identifyProcess(child.pid as number);
    this.#stopWatching = watchChild(child, (lastExit) => this.#onEnd(spawn, lastExit));
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
    void this.#awaitReady();
  }

  async #awaitReady(): Promise<void> {
    const answer = await this.#control.awaitAnswer(this.spec.readyTimeoutMs ?? defaultReadyTimeoutMs);
    if (answer === "given-up") return;
    if (answer === "ready") {
      this.#answered = true;
      this.#move("running");
      return;
    }
    this.#complain("it did not answer on its control socket in time and is killed");
    const identity = this.#identity();
    if (identity !== undefined) await signalProcess(identity, "SIGKILL");
  }

  #onEnd(spawn: string | undefined, lastExit: string): void {
    this.#serialise(() => this.#ended(spawn, lastExit)).catch((error) =>
      this.#complain("its end was not handled", error),
    );
  }

  /** The process of start `spawn` has ended. */
  async #ended(spawn: string | undefined, lastExit: string): Promise<void> {
    if (this.#released || this.#record.spawn !== spawn || this.#record.wanted !== "running") return;
    this.#stopWatching();
    this.#control.drop();
    // What it started and left behind would fight with what is started next.
    await killOwnedProcesses(this.#context.directory.root, (owned) => owned.spawn === spawn);
    const record = recordOfEnd(this.#record, lastExit);
    const state = record.wanted === "ended" ? "exited" : "backingOff";
    // With the record: who asks while that is written must not be told of the end, and that it runs.
    this.#state = state;
    await this.#write(record);
    if (state === "exited") return this.#move(state);
    const pauseMs = this.#backOff.next(record.startedAt);
    this.#context.logger.warn("a data-plane process ended and is started again", {
      process: this.processId,
      lastExit,
      pauseMs,
    });
    this.#move(state);
    this.#backOff.schedule(pauseMs, () => {
      this.#serialise(() => this.#launch()).catch((error) => this.#complain("it was not started again", error));
    });
  }

  /** SIGTERM, then SIGKILL for it and everything that it started. */
  async #end(graceMs: number): Promise<void> {
    this.#backOff.cancel();
    this.#stopWatching();
    this.#control.giveUp();
    const identity = this.#identity();
    if (identity !== undefined) await askToEnd(identity, graceMs);
    this.#control.drop();
    await killWithDescendants(identity, { root: this.#context.directory.root, processId: this.processId });
  }

  #identity(): ProcessIdentity | undefined {
    const { pid, startTicks, bootId } = this.#record;
    return pid === undefined || startTicks === undefined || bootId !== this.#context.bootId
      ? undefined
      : { pid, startTicks };
  }

  /** Whether it has ended for good without ever having been there: whoever asks for it again has it tried again. */
  #hasFailed(): boolean {
    const { wanted, lastExit } = this.#record;
    return wanted === "ended" && (!this.#answered || isNoStart(lastExit));
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

  #complain(what: string, error?: unknown): void {
    const details = error === undefined ? {} : { error: String(error) };
    this.#context.logger.error(`process '${this.processId}': ${what}`, details);
  }
}
