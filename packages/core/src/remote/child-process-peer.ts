import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import type { Duplex, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { Logger } from "../context/logger.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { JsonObject } from "../schema/json.ts";
import type { ProviderSource } from "./call-server.ts";
import type { ChildOptions } from "./child-plugin.ts";
import type { ByteStream } from "./json-rpc-link.ts";
import { readLines } from "./read-lines.ts";
import { readProviders, RemoteConnection } from "./remote-connection.ts";
import type { ProviderInfo } from "./wire-protocol.ts";

/** A program that speaks the wire protocol. */
export interface ChildCommand {
  readonly command: string;
  readonly args: readonly string[];
  /** Where it speaks it: at file descriptor 3, or on standard input and output. Defaults to `stdio`. */
  readonly channel?: "fd3" | "stdio" | undefined;
}

/** What a child is asked to run. */
export interface StartRequest {
  readonly id: string;
  readonly module: string;
  readonly config: unknown;
}

/** What surrounds a {@link ChildProcessPeer}. */
export interface PeerEnvironment {
  readonly start: StartRequest;
  readonly serves: ProviderSource;
  readonly logger: Logger;
  readonly onDegraded: (reason: string | undefined) => void;
}

/** The longest line of a child's output that is logged, in characters. */
const maxLineLength = 4096;
const pageBytes = 4096;
/** How long a child may take to end by itself once its connection is lost, in milliseconds. */
const endGraceMs = 1000;

/** One child process with its connection, from spawn to end. */
export class ChildProcessPeer {
  readonly connection: RemoteConnection;
  /** Resolves when the process has ended, with why. Never rejects. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #environment: PeerEnvironment;
  readonly #options: ChildOptions;
  #killedBecause: string | undefined;
  #heartbeat: NodeJS.Timeout | undefined;

  private constructor(environment: PeerEnvironment, options: ChildOptions) {
    this.#environment = environment;
    this.#options = options;
    const { command } = options;
    const onStdio = command !== undefined && command.channel !== "fd3";
    this.#child = spawn(
      command?.command ?? process.execPath,
      command?.args ?? [...(options.execArgv ?? []), fileURLToPath(import.meta.resolve("@vdc-os/core/remote/child"))],
      {
        // What the plugin prints goes to the log: only the channel carries messages.
        stdio: onStdio ? ["pipe", "pipe", "pipe"] : ["ignore", "pipe", "pipe", "pipe"],
        env: { ...process.env, ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      },
    );
    const { stdin, stdout, stderr, stdio } = this.#child;
    this.ended = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        if (this.#child.pid === undefined) resolve(error.message);
      });
      this.#child.once("exit", (code, signal) => {
        resolve(this.#killedBecause ?? (signal === null ? `exit code ${code}` : `signal ${signal}`));
      });
    });
    void this.ended.then(() => clearInterval(this.#heartbeat));
    this.#log(stderr as Readable, "stderr");
    if (!onStdio) this.#log(stdout as Readable, "stdout");
    const channel: ByteStream = onStdio
      ? { readable: stdout as Readable, writable: stdin as NonNullable<typeof stdin> }
      : (stdio[3] as Duplex);
    this.connection = new RemoteConnection(channel, { serves: environment.serves, logger: environment.logger });
    this.connection.link.onNotify("log", ([level, message, fields]) => this.#onLog(level, message, fields));
    this.connection.link.onNotify("degraded", ([reason]) => {
      environment.onDegraded(typeof reason === "string" ? reason : undefined);
    });
    // A child without its channel serves nothing, whatever it does. One that is ending tells better why by its exit.
    void this.connection.closed.then((why) => {
      const timer = setTimeout(() => this.kill(`its connection ended: ${why.message}`), endGraceMs);
      void this.ended.then(() => clearTimeout(timer));
    });
  }

  static spawn(environment: PeerEnvironment, options: ChildOptions): ChildProcessPeer {
    return new ChildProcessPeer(environment, options);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Shakes hands and runs the plugin's setup. Resolves with what it provides. */
  async start(signal: AbortSignal): Promise<readonly ProviderInfo[]> {
    const timeoutMs = this.#options.startTimeoutMs ?? 25_000;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const ended = this.ended.then((why) => {
      throw new VdcError("UNAVAILABLE", `the plugin's child process ended before it was ready: ${why}`, {
        reason: "VDC_CHILD_NOT_STARTED",
      });
    });
    const begin = async (): Promise<readonly ProviderInfo[]> => {
      await this.connection.greet();
      const request = { ...this.#environment.start, providers: this.#environment.serves.list() };
      return readProviders(await this.connection.link.request("start", [request], limit));
    };
    const beginning = begin();
    beginning.catch(() => {});
    ended.catch(() => {});
    let offered: readonly ProviderInfo[];
    try {
      offered = await Promise.race([beginning, ended]);
    } catch (error) {
      // A lost connection says less than the end of the process that lost it.
      if (this.connection.link.why === undefined) throw error;
      return await ended;
    }
    this.#watch();
    return offered;
  }

  /** Asks the plugin to stop, then the process to end, then makes it. */
  async stop(): Promise<void> {
    clearInterval(this.#heartbeat);
    const timeoutMs = this.#options.stopTimeoutMs ?? 4000;
    const timer = setTimeout(() => this.kill("it did not stop in time"), timeoutMs);
    try {
      const inOrder = AbortSignal.timeout(Math.ceil(timeoutMs * 0.75));
      await this.connection.link.request("stop", [], inOrder).catch((error) => {
        this.#environment.logger.warn("a plugin's child process did not stop in order", { error: String(error) });
      });
      this.#child.kill("SIGTERM");
      await this.ended;
    } finally {
      clearTimeout(timer);
      await this.connection.close();
    }
  }

  /** Ends the process at once. */
  async kill(because = "it was killed"): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#killedBecause ??= because;
      this.#child.kill("SIGKILL");
    }
    if (this.#child.pid !== undefined) await this.ended;
    this.connection.link.fail(new VdcError("UNAVAILABLE", `the plugin's child process ended: ${await this.ended}`));
  }

  #watch(): void {
    const { heartbeatMs = 2000, hangTimeoutMs = 10_000, maxResidentBytes } = this.#options;
    let asking = false;
    this.#heartbeat = setInterval(() => {
      if (maxResidentBytes !== undefined) void this.#checkMemory(maxResidentBytes);
      if (asking) return;
      asking = true;
      this.connection.link.ping({ timeoutMs: hangTimeoutMs }).then(
        () => {
          asking = false;
        },
        () => this.kill(`it did not answer for ${hangTimeoutMs} ms`),
      );
    }, heartbeatMs);
    this.#heartbeat.unref();
  }

  async #checkMemory(limit: number): Promise<void> {
    // proc_pid_statm(5): size and resident set, in pages.
    const statm = await readFile(`/proc/${this.pid}/statm`, "latin1").catch(() => undefined);
    const resident = Number(statm?.split(" ")[1] ?? 0) * pageBytes;
    if (resident > limit) await this.kill(`it had ${resident} bytes resident, more than its limit of ${limit}`);
  }

  #log(output: Readable, stream: string): void {
    const onLine = (line: string): void => this.#environment.logger.info(line, { stream });
    readLines(output, { maxLength: maxLineLength, onLine });
    output.on("error", () => {});
  }

  #onLog(level: unknown, message: unknown, fields: unknown): void {
    const { logger } = this.#environment;
    const text = String(message).slice(0, maxLineLength);
    const data = typeof fields === "object" && fields !== null ? (fields as JsonObject) : {};
    if (level === "debug") logger.debug(text, data);
    else if (level === "warn") logger.warn(text, data);
    else if (level === "error") logger.error(text, data);
    else logger.info(text, data);
  }
}
