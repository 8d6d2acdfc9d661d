import { type ChildProcess, spawn } from "node:child_process";
import { open, readFile } from "node:fs/promises";
import type { PowerState } from "@vdc-os/core/compute/v1";
import { awaitExit, identifyProcess, isRunning, killProcess, type ProcessIdentity } from "@vdc-os/core/local";
import { connectQmp, type QmpClient, type QmpEvent, type RunState } from "@vdc-os/qmp";

/** How a QEMU ended. */
export interface QemuEnd {
  readonly crashed: boolean;
  readonly detail: string;
}

/** What QEMU says of the VM. */
export interface Observation {
  readonly state: PowerState;
  readonly detail?: string;
}

/** Where a QEMU is reached. */
export interface QemuPaths {
  readonly monitorSocket: string;
  readonly log: string;
}

/** Options of {@link QemuProcess.spawn}. */
export interface SpawnOptions extends QemuPaths {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

const heartbeatMs = 2_000;
const answerTimeoutMs = 5_000;
const exitPollMs = 250;

/**
 * One QEMU that runs, or has run: it is watched, asked and ended through here. It is a process of its own, which goes on when this one
 * ends; `release` lets go of it.
 */
export class QemuProcess {
  readonly identity: ProcessIdentity;
  /** Resolves when the process is gone, however that came about. Never rejects. */
  readonly ended: Promise<QemuEnd>;
  readonly #paths: QemuPaths;
  readonly #timers: NodeJS.Timeout[] = [];
  #resolveEnded: (end: QemuEnd) => void = () => {};
  #monitor: QmpClient | undefined;
  #observation: Observation = { state: "starting" };
  #onObservation: (observation: Observation) => void = () => {};
  /** What its end means when it comes; a crash when nothing was said before. */
  #expected: QemuEnd | undefined;
  #exit = "";
  /** Resolves when it is known how the process ended, which is a little later than that it did. Never for one that was adopted. */
  #reaped: Promise<void> | undefined;
  #diskProblem: string | undefined;
  #isOver = false;
  #isBeating = false;

  private constructor(identity: ProcessIdentity, paths: QemuPaths) {
    this.identity = identity;
    this.#paths = paths;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#timers.push(setInterval(() => void this.#checkExit(), exitPollMs).unref());
  }

  /** Starts a QEMU in a session of its own. Rejects when it could not be started at all. */
  static async spawn(options: SpawnOptions): Promise<QemuProcess> {
    const log = await open(options.log, "w", 0o600);
    try {
      // The shell becomes QEMU: sockets and files are its user's alone, and a crash leaves no copy of the guest's memory.
      const command = 'umask 077; ulimit -c 0; exec "$@"';
      const child = spawn("/bin/sh", ["-c", command, "sh", options.program, ...options.args], {
        cwd: "/",
        detached: true,
        stdio: ["ignore", log.fd, log.fd],
        env: options.environment,
      });
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", reject);
      });
      child.unref();
      const pid = child.pid as number;
      // One that is gone already is told from a later process of the same pid by a start time that no process has.
      const running = new QemuProcess((await identifyProcess(pid)) ?? { pid, startTicks: -1 }, options);
      running.#watchChild(child);
      return running;
    } finally {
      await log.close();
    }
  }

  /** Takes over a QEMU that runs already. */
  static adopt(identity: ProcessIdentity, paths: QemuPaths): QemuProcess {
    return new QemuProcess(identity, paths);
  }

  get observation(): Observation {
    return this.#observation;
  }

  /** The monitor, while it is connected. */
  get monitor(): QmpClient | undefined {
    return this.#monitor?.isOpen === true ? this.#monitor : undefined;
  }

  /** Asks how the VM is from now on, and calls `listener` when the observation changes. Called once. */
  observe(listener: (observation: Observation) => void): void {
    this.#onObservation = listener;
    if (!this.#isOver) this.#timers.push(setInterval(() => void this.#beat(), heartbeatMs).unref());
    if (this.monitor === undefined) this.#isSilent("it could not be connected to");
  }

  /** Connects to the monitor, and asks how the VM is. Rejects with a QmpError. */
  async connect(options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<RunState> {
    const monitor = await connectQmp(this.#paths.monitorSocket, options);
    this.#monitor?.close();
    this.#monitor = monitor;
    monitor.onEvent((event) => this.#onEvent(event));
    void monitor.closed.then(() => this.#onMonitorClosed(monitor));
    return this.#ask(monitor);
  }

  /** Runs the CPUs, and resolves when they run. */
  async resume(signal?: AbortSignal): Promise<void> {
    const monitor = this.#monitor;
    if (monitor === undefined) throw new Error("the monitor is not connected");
    await monitor.execute("cont", undefined, signal === undefined ? {} : { signal });
    await this.#ask(monitor);
  }

  /** Presses the power button. False when the monitor does not answer. */
  async pressPowerButton(): Promise<boolean> {
    return this.#tell("system_powerdown");
  }

  /** Ends the process, and resolves when it is gone. False when it does not die. */
  async kill(end: QemuEnd): Promise<boolean> {
    this.#expected = end;
    // Asking lets QEMU flush what it holds; the guest's disks are as after a power cut either way.
    const gone = (await this.#tell("quit")) && (await awaitExit(this.identity, 3_000));
    if (!gone && !(await killProcess(this.identity))) return false;
    await this.#checkExit();
    return true;
  }

  /** Lets go of the process, which goes on. `ended` then never resolves. */
  release(): void {
    this.#isOver = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#monitor?.close();
  }

  /** The last lines that QEMU wrote. */
  async readLog(): Promise<string> {
    const text = await readFile(this.#paths.log, "utf8").catch(() => "");
    // Each line begins with a time that means nothing to who reads the error.
    const lines = text
      .trim()
      .replaceAll(/^\d{4}-\S+Z /gm, "")
      .split("\n");
    return lines.slice(-4).join("; ").slice(-600);
  }

  #watchChild(child: ChildProcess): void {
    this.#reaped = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#exit = signal === null ? `exit code ${code}` : `signal ${signal}`;
        resolve();
        void this.#checkExit();
      });
    });
  }

  async #tell(command: "quit" | "system_powerdown"): Promise<boolean> {
    try {
      const monitor = this.monitor;
      if (monitor === undefined) return false;
      await monitor.execute(command, undefined, { timeoutMs: 2_000 });
      return true;
    } catch {
      return false;
    }
  }

  async #ask(monitor: QmpClient): Promise<RunState> {
    const { status } = await monitor.execute("query-status", undefined, { timeoutMs: answerTimeoutMs });
    if (this.#monitor === monitor) this.#saw(status);
    return status;
  }

  #saw(status: RunState): void {
    if (status === "shutdown") this.#finish("the guest shut down");
    else this.#setObservation(observationOf(status, this.#diskProblem));
  }

  #onEvent(event: QmpEvent): void {
    const { data } = event;
    if (event.event === "SHUTDOWN" && data.guest === true) this.#finish(`the guest shut down (${String(data.reason)})`);
    else if (event.event === "SHUTDOWN" && data.reason === "host-signal") {
      this.#expected ??= { crashed: true, detail: "QEMU was ended by a signal from outside" };
    } else if (event.event === "BLOCK_IO_ERROR") {
      this.#diskProblem = `disk '${String(data["node-name"] ?? data.device)}': ${String(data.operation)} failed: ${String(data.reason)}`;
    } else if (event.event === "RESUME") this.#saw("running");
    else if (event.event === "STOP" || event.event === "GUEST_PANICKED") void this.#beat();
  }

  /** The guest has switched itself off, and QEMU waits to be told to leave. */
  #finish(detail: string): void {
    if (this.#expected !== undefined) return;
    this.#expected = { crashed: false, detail };
    this.#setObservation({ state: "stopping" });
    void this.kill(this.#expected);
  }

  #onMonitorClosed(monitor: QmpClient): void {
    if (this.#monitor !== monitor) return;
    this.#monitor = undefined;
    void awaitExit(this.identity, 1_000).then(() => this.#checkExit());
  }

  async #beat(): Promise<void> {
    if (this.#isBeating || this.#isOver || this.#expected !== undefined) return;
    this.#isBeating = true;
    try {
      const monitor = this.monitor;
      if (monitor === undefined) await this.connect({ timeoutMs: answerTimeoutMs });
      else await this.#ask(monitor);
    } catch (error) {
      const isThere = await isRunning(this.identity);
      // A monitor that has gone silent is connected anew: QEMU answers one client at a time.
      this.#monitor?.close();
      if (isThere) this.#isSilent(error instanceof Error ? error.message : String(error));
    } finally {
      this.#isBeating = false;
    }
  }

  async #awaitReaped(): Promise<void> {
    if (this.#reaped === undefined) return;
    // The child keeps no program alive, so this timer must.
    let timer: NodeJS.Timeout | undefined;
    const enough = new Promise<void>((resolve) => {
      // Not before what has happened by then was told: this process may have had no turn for all of that time.
      timer = setTimeout(() => setImmediate(resolve), 1_000);
    });
    await Promise.race([this.#reaped, enough]);
    clearTimeout(timer);
  }

  #isSilent(why: string): void {
    if (this.#isOver || this.#expected !== undefined) return;
    this.#setObservation({ state: "unknown", detail: `the monitor does not answer: ${why}` });
  }

  async #checkExit(): Promise<void> {
    if (this.#isOver || (await isRunning(this.identity)) || this.#isOver) return;
    this.release();
    await this.#awaitReaped();
    const log = this.#expected === undefined ? await this.readLog() : "";
    const detail = `QEMU ended by itself${this.#exit && ` (${this.#exit})`}${log && `: ${log}`}`;
    this.#resolveEnded(this.#expected ?? { crashed: true, detail });
  }

  #setObservation(observation: Observation): void {
    const { state, detail } = this.#observation;
    if (state === observation.state && detail === observation.detail) return;
    this.#observation = observation;
    this.#onObservation(observation);
  }
}

function observationOf(status: RunState, diskProblem: string | undefined): Observation {
  switch (status) {
    case "running":
      return { state: "running" };
    case "prelaunch":
    case "inmigrate":
      return { state: "starting" };
    case "io-error":
      return { state: "paused", detail: diskProblem ?? "a disk reported an error, and the guest stands still" };
    case "internal-error":
    case "guest-panicked":
      return { state: "crashed", detail: `QEMU says '${status}'` };
    default:
      return { state: "paused", detail: `QEMU says '${status}'` };
  }
}
