import { isDeepStrictEqual } from "node:util";
import type { Json } from "@vdc-os/core";
import type { EnsureProcess, ProcessState, ProcessStatus } from "@vdc-os/core/host/v1";
import type { WorldServices } from "../world/world-services.ts";
import type { SimulatedRun } from "./simulated-program.ts";

const firstBackOffMs = 10;
const maxBackOffMs = 1_000;
/** Beyond the largest pid that Linux can give out: proc_sys_kernel(5). */
const firstPid = 5_000_001;

/** The pids of a host. */
export class SimulatedPids {
  readonly #alive: Set<number> = new Set();
  #next = firstPid;

  make(): number {
    this.#alive.add(this.#next);
    return this.#next++;
  }

  end(pid: number): void {
    this.#alive.delete(pid);
  }

  has(pid: number): boolean {
    return this.#alive.has(pid);
  }
}

/** Options of {@link SupervisedProgram}. */
export interface SupervisedProgramOptions {
  readonly world: WorldServices;
  readonly host: string;
  readonly pids: SimulatedPids;
  /** Where the sockets seem to be. */
  readonly directory: string;
  readonly spec: EnsureProcess;
  onChange(type: "modified" | "deleted", status: ProcessStatus): void;
}

/** A process of a simulated host: it is started, started again and ended as a real one is, and what it does is a simulated program. */
export class SupervisedProgram {
  readonly #options: SupervisedProgramOptions;
  readonly #listeners: Set<() => void> = new Set();
  #spec: EnsureProcess;
  #state: ProcessState = "starting";
  #running: { readonly pid: number; readonly startedAt: number } | undefined;
  #run: SimulatedRun | undefined;
  #bred: number[] = [];
  #restarts = 0;
  #failures = 0;
  #lastExit: string | undefined;
  #hasAnswered = false;
  #wasStarted = false;
  #isRemoved = false;
  #log: Buffer = Buffer.alloc(0);
  #busy: Promise<unknown> = Promise.resolve();
  #cancelBackOff: () => void = () => {};

  constructor(options: SupervisedProgramOptions) {
    this.#options = options;
    this.#spec = options.spec;
  }

  get spec(): EnsureProcess {
    return this.#spec;
  }

  get state(): ProcessState {
    return this.#state;
  }

  get isRemoved(): boolean {
    return this.#isRemoved;
  }

  /** All that it has written. */
  get log(): Buffer {
    return this.#log;
  }

  /** Whether nobody has to wait for it any more. */
  get isSettled(): boolean {
    return this.#isRemoved || this.#state === "running" || this.#state === "exited" || this.#isStartedCommand;
  }

  /** Whether it has become what was asked for. */
  get isThere(): boolean {
    return this.#state === "running" || this.#isStartedCommand || (this.#state === "exited" && this.#hasAnswered);
  }

  get #isStartedCommand(): boolean {
    return this.#hasAnswered && this.#spec.program.kind === "command";
  }

  status(): ProcessStatus {
    const { processId, owner, program } = this.#spec;
    return {
      processId,
      owner,
      state: this.#state,
      ...this.#running,
      restarts: this.#restarts,
      ...(program.kind === "module" ? { controlSocket: `${this.#options.directory}/run/${processId}.ctl` } : {}),
      ...(this.#lastExit === undefined ? {} : { lastExit: this.#lastExit }),
    };
  }

  /** Makes it run as a spec says, after what was asked before. Does not wait for its answer. */
  ensure(spec: EnsureProcess): Promise<void> {
    return this.#serialise(async () => {
      if (this.#isRemoved) return;
      const hasFailed = this.#state === "exited" && !this.#hasAnswered;
      if (this.#wasStarted && !hasFailed && isDeepStrictEqual(this.#spec, spec)) return;
      if (this.#wasStarted) await this.#stop(5_000);
      this.#gone();
      this.#spec = spec;
      this.#restarts = 0;
      this.#failures = 0;
      this.#lastExit = undefined;
      this.#hasAnswered = false;
      this.#wasStarted = true;
      this.#start();
    });
  }

  /** Ends it as SIGTERM does, then as SIGKILL after a grace, and forgets it. */
  remove(graceMs: number): Promise<void> {
    return this.#serialise(async () => {
      if (this.#isRemoved) return;
      await this.#stop(graceMs);
      this.powerOff();
    });
  }

  /** Ends and forgets it at once. */
  powerOff(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#gone();
    this.#state = "exited";
    this.#options.onChange("deleted", this.status());
    this.#look();
  }

  /** Calls a method. Resolves with `undefined` when it ends meanwhile, or has no such method. */
  async call(
    method: string,
    params: Json,
    signal: AbortSignal,
  ): Promise<{ readonly value: Json } | "ended" | "unknown"> {
    const { pid } = this.#running ?? {};
    const methods = this.#run?.methods ?? {};
    const run = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (run === undefined) return "unknown";
    const end = new AbortController();
    const both = AbortSignal.any([signal, end.signal]);
    const over = this.changed(() => this.#running?.pid !== pid, end.signal).then(() => "ended" as const);
    const answer = (async () => ({ value: (await run(params, { signal: both })) ?? null }))();
    return Promise.race([over, answer]).finally(() => end.abort());
  }

  /** Resolves when a condition holds, which is looked at after each change, or when the signal aborts. */
  changed(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isSo() && !signal.aborted) return;
        this.#listeners.delete(look);
        signal.removeEventListener("abort", look);
        resolve();
      };
      this.#listeners.add(look);
      signal.addEventListener("abort", look);
      look();
    });
  }

  #start(): void {
    const { world, host, pids } = this.#options;
    const { program, processId, owner } = this.#spec;
    const pid = pids.make();
    this.#running = { pid, startedAt: world.clock.now() };
    this.#run = undefined;
    this.#move("starting");
    if (program.kind === "command") this.#answers();
    const simulated = world.programs?.[program.kind === "module" ? program.module : program.command];
    const write = (text: string): void => {
      if (this.#running?.pid !== pid) return;
      this.#log = Buffer.concat([this.#log, Buffer.from(text)]);
      this.#look();
    };
    if (simulated === undefined) write(`simulated: '${processId}' is on the list of processes, and nothing runs\n`);
    const run = simulated?.({
      processId,
      owner: `${owner.datacenter}/${host}/${processId}`,
      pid,
      config: program.kind === "module" ? (structuredClone(program.config) as Json) : null,
      args: program.kind === "command" ? program.args : [],
      write,
      exit: (code) => this.#exited(pid, `exit code ${code}`),
      kill: () => this.#exited(pid, "signal SIGKILL"),
      breed: () => {
        const bred = pids.make();
        this.#bred.push(bred);
        return bred;
      },
      isAlive: (other) => pids.has(other),
    });
    if (this.#running?.pid !== pid || run?.answers === false) return;
    this.#run = run;
    if (program.kind === "module") this.#answers();
  }

  #answers(): void {
    this.#hasAnswered = true;
    this.#move("running");
  }

  /** SIGTERM, for as long as the grace lasts. */
  async #stop(graceMs: number): Promise<void> {
    this.#cancelBackOff();
    const pid = this.#running?.pid;
    const stopping = graceMs > 0 ? this.#run?.stop?.() : undefined;
    if (stopping !== undefined) {
      const over = new AbortController();
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const cancel = this.#options.world.clock.schedule(graceMs, resolve);
      await Promise.race([stopping, late, this.changed(() => this.#running?.pid !== pid, over.signal)]);
      over.abort();
      cancel();
    }
  }

  /** It has ended by itself. */
  #exited(pid: number, lastExit: string): void {
    if (this.#running?.pid !== pid) return;
    this.#gone();
    this.#lastExit = lastExit;
    const { restart, program } = this.#spec;
    if ((restart ?? (program.kind === "module" ? "always" : "never")) === "never") {
      this.#move("exited");
      return;
    }
    this.#restarts++;
    const pauseMs = Math.min(maxBackOffMs, firstBackOffMs * 2 ** this.#failures++);
    this.#cancelBackOff = this.#options.world.clock.schedule(pauseMs, () => this.#start());
    this.#move("backingOff");
  }

  /** Nothing of it runs any more. */
  #gone(): void {
    this.#cancelBackOff();
    const ended = [...this.#bred.splice(0), ...(this.#running === undefined ? [] : [this.#running.pid])];
    for (const pid of ended) this.#options.pids.end(pid);
    this.#running = undefined;
    this.#run = undefined;
  }

  #move(state: ProcessState): void {
    this.#state = state;
    if (this.#isRemoved) return;
    this.#options.onChange("modified", this.status());
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#listeners]) look();
  }

  #serialise<R>(run: () => Promise<R>): Promise<R> {
    const result = this.#busy.then(run, run);
    this.#busy = result.catch(() => undefined);
    return result;
  }
}
