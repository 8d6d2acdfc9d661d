import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { FixtureError } from "./fixture-error.ts";
import { JsonRpcSocket } from "./json-rpc-socket.ts";

export interface DaemonOptions {
  /** Names its files: `<name>.log`, `<name>.out`. */
  readonly name: string;
  /** An absolute path. */
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The control socket that it will open. */
  readonly control?: string | ((pid: number) => string);
  /** Whether it is up, beyond a control socket that answers. Asked until it says so; a rejection counts as "not yet". */
  readonly ready?: () => Promise<boolean>;
  /** How long it may take to come up. Defaults to `60_000`. */
  readonly startTimeoutMs?: number;
}

/** What the folder does for its daemons. */
export interface DaemonHost {
  readonly spawn: (program: string, args: readonly string[]) => ChildProcess;
  readonly ended: (pid: number) => void;
  readonly logFile: string;
  readonly outputFile: string;
}

const POLL_MS = 5;
const TAIL_LINES = 20;

/** One process, which can be killed and started again with the same arguments. */
export class Daemon {
  readonly name: string;
  readonly #options: DaemonOptions;
  readonly #host: DaemonHost;
  #child: ChildProcess | undefined;
  #control: JsonRpcSocket | undefined;

  constructor(options: DaemonOptions, host: DaemonHost) {
    this.name = options.name;
    this.#options = options;
    this.#host = host;
  }

  /** The process id; undefined while it doesn't run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Starts it again after `kill`; nothing happens when it runs. Rejects with `NOT_READY` or `EXITED`, and it is gone then. */
  async start(): Promise<void> {
    if (this.#child !== undefined) return;
    const { program, args, startTimeoutMs = 60_000 } = this.#options;
    const child = this.#host.spawn(program, args);
    const { pid } = child;
    this.#child = child;
    let spawnError: Error | undefined;
    child.once("error", (error) => {
      spawnError = error;
      this.#gone(child, pid);
    });
    child.once("exit", () => this.#gone(child, pid));
    const deadline = performance.now() + startTimeoutMs;
    try {
      for (;;) {
        if (this.#child !== child) {
          const how = spawnError?.message ?? `exit code ${child.exitCode}, signal ${child.signalCode}`;
          throw new FixtureError("EXITED", `'${this.name}' ended while it started (${how})${await this.#tail()}`);
        }
        if ((await this.#isReady()) && this.#child === child) return;
        if (performance.now() > deadline) {
          throw new FixtureError(
            "NOT_READY",
            `'${this.name}' was not up after ${startTimeoutMs} ms${await this.#tail()}`,
          );
        }
        await delay(POLL_MS);
      }
    } catch (error) {
      await this.kill();
      throw error;
    }
  }

  /** Sends the signal and resolves when the process is reaped. Nothing happens when it doesn't run. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.pid === undefined) return;
    child.ref();
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Stops the process where it stands (SIGSTOP): to its peers it hangs. */
  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  /** What `ovs-appctl <method> <args>` does, without a process. Rejects with `FAILED` and the daemon's text. */
  async control(method: string, ...args: readonly string[]): Promise<string> {
    const result = await (await this.#connectControl()).request(method, args);
    return typeof result === "string" ? result : "";
  }

  /** The last lines of its log and of what it printed. */
  async logTail(lines: number = TAIL_LINES): Promise<string> {
    const texts = await Promise.all(
      [this.#host.logFile, this.#host.outputFile].map((path) => readFile(path, "utf8").catch(() => "")),
    );
    return texts
      .map((text) => text.trimEnd().split("\n").slice(-lines).join("\n"))
      .filter(Boolean)
      .join("\n");
  }

  async #connectControl(): Promise<JsonRpcSocket> {
    if (this.#control !== undefined) return this.#control;
    const { control } = this.#options;
    const pid = this.#child?.pid;
    const path = typeof control === "function" ? (pid === undefined ? undefined : control(pid)) : control;
    if (path === undefined || pid === undefined) {
      throw new FixtureError("FAILED", `'${this.name}' ${pid === undefined ? "doesn't run" : "has no control socket"}`);
    }
    const connected = await JsonRpcSocket.connect(path);
    // Another call may have connected meanwhile.
    if (this.#control !== undefined) connected[Symbol.dispose]();
    this.#control ??= connected;
    return this.#control;
  }

  async #isReady(): Promise<boolean> {
    try {
      if (this.#options.control !== undefined) await this.control("version");
      return this.#options.ready === undefined || (await this.#options.ready());
    } catch {
      return false;
    }
  }

  #gone(child: ChildProcess, pid: number | undefined): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#control?.[Symbol.dispose]();
    this.#control = undefined;
    if (pid !== undefined) this.#host.ended(pid);
  }

  async #tail(): Promise<string> {
    const tail = await this.logTail();
    return tail === "" ? "; it wrote nothing" : `; its last words:\n${tail}`;
  }
}
