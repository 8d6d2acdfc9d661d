import { type ChildProcess, spawn } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import type { Logger } from "@vdc-os/core";
import { VdcError } from "@vdc-os/core";
import {
  awaitExit,
  identifyProcess,
  isRunning,
  killProcess,
  type ProcessIdentity,
  signalProcess,
  writeFileAtomic,
} from "@vdc-os/core/local";
import { connectUnix } from "@vdc-os/core/remote";
import type { CsiEndpoint } from "../config.ts";

/** Pauses between starts, in milliseconds: doubled from the first to the last. */
export interface BackOff {
  readonly firstMs: number;
  readonly lastMs: number;
}

const defaultBackOff: BackOff = { firstMs: 200, lastMs: 30_000 };

/** A driver that ran for this long was well: the next pause is the first again. */
const wellAfterMs = 60_000;

/** A driver that does not listen this long after its start is ended, and started again. */
const listensAfterMs = 60_000;

/** How long a driver may take to end when it is asked to. */
const endTimeoutMs = 5_000;

/**
 * A driver's program, started and kept running. One that outlived the process that started it is found again by a file beside its socket, and adopted.
 *
 * Its output goes nowhere: it may hold secrets.
 */
export class DriverProcess {
  readonly #endpoint: CsiEndpoint & { readonly command: readonly string[] };
  readonly #logger: Logger;
  readonly #backOff: BackOff;
  #identity: ProcessIdentity | undefined;
  /** What was started last. */
  #child: ChildProcess | undefined;
  /** Whether that has not ended yet. */
  #isUp = false;
  #starting: Promise<void> | undefined;
  #pauseMs: number;
  #lastStart = 0;
  #restart: NodeJS.Timeout | undefined;
  #lastEnd: string | undefined;
  #closed = false;

  constructor(
    endpoint: CsiEndpoint & { readonly command: readonly string[] },
    options: { readonly logger: Logger; readonly backOff?: BackOff | undefined },
  ) {
    this.#endpoint = endpoint;
    this.#logger = options.logger;
    this.#backOff = options.backOff ?? defaultBackOff;
    this.#pauseMs = this.#backOff.firstMs;
  }

  /** Starts the program if it does not run and no restart is due, and returns when it listens. Throws `UNAVAILABLE` until then. */
  async ensure(signal: AbortSignal): Promise<void> {
    if (this.#closed) throw this.#unavailable("it was stopped");
    if (await this.#listens()) return this.#adopt();
    if (this.#closed) throw this.#unavailable("it was stopped");
    if (this.#restart !== undefined) throw this.#unavailable(`it ended (${this.#lastEnd}) and is started again soon`);
    this.#starting ??= this.#start().finally(() => {
      this.#starting = undefined;
    });
    await this.#starting;
    signal.throwIfAborted();
  }

  /** Ends the program, and does not start it again. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#restart);
    await this.#starting?.catch(() => {});
    const identity = this.#identity;
    if (identity !== undefined) {
      await signalProcess(identity, "SIGTERM");
      if (!(await awaitExit(identity, endTimeoutMs))) await killProcess(identity);
    }
    await rm(this.#recordPath, { force: true });
  }

  get #recordPath(): string {
    return `${this.#endpoint.socket}.process`;
  }

  async #listens(): Promise<boolean> {
    return connectUnix(this.#endpoint.socket).then(
      (socket) => {
        socket.destroy();
        return true;
      },
      () => false,
    );
  }

  /** A driver that answers, and that an earlier process of ours has started, is ours to end. */
  async #adopt(): Promise<void> {
    if (this.#identity !== undefined) return;
    const text = await readFile(this.#recordPath, "utf8").catch(() => undefined);
    if (text === undefined) return;
    try {
      const { pid, startTicks } = JSON.parse(text) as ProcessIdentity;
      if (await isRunning({ pid, startTicks })) this.#identity = { pid, startTicks };
    } catch {
      // Not ours: somebody else runs the driver.
    }
  }

  async #start(): Promise<void> {
    // One that is slow to listen is waited for again: of two only the second would be known.
    if (!this.#isUp) await this.#spawn();
    const giveUp = performance.now() + 10_000;
    while (this.#isUp && !this.#closed && performance.now() < giveUp) {
      if (await this.#listens()) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    if (!this.#isUp) throw this.#unavailable(`it ended (${this.#lastEnd})`);
    // It hangs, or has lost its socket: its end has it started again.
    if (!this.#closed && performance.now() - this.#lastStart > listensAfterMs) this.#child?.kill("SIGKILL");
    throw this.#unavailable("it does not listen");
  }

  async #spawn(): Promise<void> {
    const { socket, command, env } = this.#endpoint;
    const [program = "", ...args] = command.map((argument) => argument.replaceAll("{socket}", socket));
    await rm(socket, { force: true });
    if (this.#closed) throw this.#unavailable("it was stopped");
    this.#lastStart = performance.now();
    const child = spawn(program, args, {
      env: { ...process.env, ...env, CSI_ENDPOINT: `unix://${socket}` },
      stdio: "ignore",
    });
    this.#child = child;
    this.#isUp = true;
    child.once("error", (error) => this.#onEnd(child, error.message));
    child.once("exit", (code, signal) =>
      this.#onEnd(child, signal === null ? `exit code ${code}` : `signal ${signal}`),
    );
    const found = child.pid === undefined ? undefined : await identifyProcess(child.pid);
    if (found !== undefined) {
      this.#identity = { pid: found.pid, startTicks: found.startTicks };
      await writeFileAtomic(this.#recordPath, JSON.stringify(this.#identity));
    }
  }

  /** An end may be told late: it says nothing of the one that was started meanwhile. */
  #onEnd(child: ChildProcess, how: string): void {
    if (child !== this.#child) return;
    this.#isUp = false;
    this.#identity = undefined;
    this.#lastEnd = how;
    if (this.#closed || this.#restart !== undefined) return;
    const ranMs = performance.now() - this.#lastStart;
    if (ranMs > wellAfterMs) this.#pauseMs = this.#backOff.firstMs;
    this.#logger.warn("a CSI driver ended, and is started again", {
      program: this.#endpoint.command[0] ?? "",
      how,
      pauseMs: this.#pauseMs,
    });
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      this.ensure(new AbortController().signal).catch(() => {});
    }, this.#pauseMs).unref();
    this.#pauseMs = Math.min(this.#backOff.lastMs, this.#pauseMs * 2);
  }

  #unavailable(why: string): VdcError {
    return new VdcError("UNAVAILABLE", `the CSI driver '${this.#endpoint.command[0]}' does not run: ${why}`, {
      reason: "VDC_CSI_UNREACHABLE",
    });
  }
}
