import { isDeepStrictEqual } from "node:util";
import type { Json } from "@vdc-os/core";
import type { EnsureProcess, ProcessState, ProcessStatus } from "@vdc-os/core/host/v1";
import type { MemoryHost } from "./memory-host.ts";
import { type PlaneProcess, type StartedPlane, startCommand, startPlane } from "./suite-plane.ts";

const firstBackOffMs = 10;
const maxBackOffMs = 500;

/** How a call of a method ended with its process. */
const ended: unique symbol = Symbol("ended");

/** A supervised process of a {@link MemoryHost}: it runs what the suite's data plane does. */
export class MemoryProcess {
  readonly #host: MemoryHost;
  spec: EnsureProcess;
  state: ProcessState = "starting";
  pid: number | undefined;
  startedAt: number | undefined;
  restarts = 0;
  lastExit: string | undefined;
  /** Whether it has answered since its spec was asked for. */
  answered = false;
  log: Buffer = Buffer.alloc(0);
  /** Changes of its life are made one after the other. */
  busy: Promise<unknown> = Promise.resolve();
  isRemoved = false;
  readonly #listeners: Set<() => void> = new Set();
  #plane: StartedPlane | undefined;
  #bred: number[] = [];
  #failures = 0;
  #backOff: NodeJS.Timeout | undefined;

  constructor(host: MemoryHost, spec: EnsureProcess) {
    this.#host = host;
    this.spec = spec;
  }

  get always(): boolean {
    return (this.spec.restart ?? (this.spec.program.kind === "module" ? "always" : "never")) === "always";
  }

  status(): ProcessStatus {
    const { spec, state, pid, startedAt, restarts, lastExit } = this;
    const runs = pid !== undefined && startedAt !== undefined;
    return {
      processId: spec.processId,
      owner: spec.owner,
      state,
      ...(runs ? { pid, startedAt } : {}),
      restarts,
      ...(spec.program.kind === "module" ? { controlSocket: `${this.#host.directory}/run/${spec.processId}.ctl` } : {}),
      ...(lastExit === undefined ? {} : { lastExit }),
    };
  }

  /** Whether nothing has to be done for a spec. */
  isAsked(spec: EnsureProcess): boolean {
    const isNew = this.pid === undefined && this.lastExit === undefined;
    const hasFailed = this.state === "exited" && !this.answered;
    return !isNew && !hasFailed && isDeepStrictEqual(this.spec, spec);
  }

  /** Starts it for a spec. Whatever ran for another one has ended. */
  begin(spec: EnsureProcess): void {
    this.spec = spec;
    this.restarts = 0;
    this.answered = false;
    this.lastExit = undefined;
    this.#failures = 0;
    this.#start();
  }

  /** SIGTERM, for as long as a grace lasts. */
  async stop(graceMs: number): Promise<void> {
    clearTimeout(this.#backOff);
    const { pid } = this;
    if (pid === undefined || graceMs <= 0 || this.#plane === undefined) return;
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs);
    });
    await Promise.race([this.#plane.stop(), grace, this.changed(() => this.pid !== pid)]);
    clearTimeout(timer);
  }

  /** SIGKILL, for it and what it has started. */
  end(): void {
    clearTimeout(this.#backOff);
    if (this.pid !== undefined) this.#gone();
    this.#endBred();
  }

  /** Calls a method of its control protocol. Resolves with `undefined` when it ends meanwhile. */
  async call(method: string, params: Json, signal: AbortSignal): Promise<{ readonly value: Json } | undefined> {
    const { pid } = this;
    const methods = this.#plane?.methods ?? {};
    const run = Object.hasOwn(methods, method) ? methods[method] : undefined;
    if (run === undefined) throw new RangeError(method);
    const end = new AbortController();
    const both = AbortSignal.any([signal, end.signal]);
    const over = this.changed(() => this.pid !== pid).then(() => ended);
    // A call ends with the process, and what it waits for with the call.
    const result = await Promise.race([over, (async () => run(params, { signal: both }))()]).finally(() => end.abort());
    return result === ended ? undefined : { value: (result as Json | undefined) ?? null };
  }

  /** Resolves when a condition holds, which is looked at after each change. */
  changed(isSo: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!isSo()) return;
        this.#listeners.delete(look);
        resolve();
      };
      this.#listeners.add(look);
      look();
    });
  }

  /** Ends it, and forgets it for good. */
  forget(): void {
    this.end();
    this.isRemoved = true;
    this.state = "exited";
    this.#host.processes.delete(this.spec.processId);
    this.#host.tell("deleted", this.status());
    this.#look();
  }

  #start(): void {
    const pid = this.#host.newPid();
    const { program, processId, owner } = this.spec;
    this.pid = pid;
    this.startedAt = Date.now();
    this.#plane = undefined;
    const self: PlaneProcess = {
      processId,
      owner: `${owner.datacenter}/${this.#host.hostId}/${processId}`,
      pid,
      write: (text) => {
        if (this.pid !== pid) return;
        this.log = Buffer.concat([this.log, Buffer.from(text)]);
        this.#look();
      },
      exit: (code) => this.#exited(pid, `exit code ${code}`),
      kill: () => this.#exited(pid, "signal SIGKILL"),
      breed: () => {
        const bred = this.#host.newPid();
        this.#bred.push(bred);
        return bred;
      },
      isAlive: (other) => this.#host.pids.has(other),
    };
    this.#move("starting");
    if (program.kind === "command") {
      this.answered = true;
      this.#move("running");
      startCommand(self, program.args);
      return;
    }
    const plane = startPlane(self, JSON.parse(JSON.stringify(program.config)) as Json);
    if (!plane.answers || this.pid !== pid) return;
    this.#plane = plane;
    this.answered = true;
    this.#move("running");
  }

  /** It has ended by itself. */
  #exited(pid: number, lastExit: string): void {
    if (this.pid !== pid) return;
    this.#gone();
    this.lastExit = lastExit;
    this.#endBred();
    if (!this.always) {
      this.#move("exited");
      return;
    }
    this.restarts++;
    const pauseMs = Math.min(maxBackOffMs, firstBackOffMs * 2 ** this.#failures++);
    this.#backOff = setTimeout(() => this.#start(), pauseMs);
    this.#move("backingOff");
  }

  #gone(): void {
    if (this.pid !== undefined) this.#host.pids.delete(this.pid);
    this.pid = undefined;
    this.startedAt = undefined;
    this.#plane = undefined;
  }

  #endBred(): void {
    for (const pid of this.#bred.splice(0)) this.#host.pids.delete(pid);
  }

  #move(state: ProcessState): void {
    this.state = state;
    this.#host.tell("modified", this.status());
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#listeners]) look();
  }
}
