import type { Clock } from "../context/clock.ts";
import type { Logger } from "../context/logger.ts";
import { VdcError } from "../error/vdc-error.ts";
import type { AnyExtensionPoint } from "../extension-point/extension-point.ts";
import { isContractCompatible } from "../extension-point/is-contract-compatible.ts";
import type { ProviderSource } from "./call-server.ts";
import { ChildProcessPeer, type ChildCommand, type StartRequest } from "./child-process-peer.ts";
import { toAbortError } from "./json-rpc-link.ts";
import type { CallSender } from "./proxy-class.ts";
import type { ProviderInfo } from "./wire-protocol.ts";

/** When a child process is started again. */
export interface RestartOptions {
  /** The pause after the first failure, in milliseconds; it doubles with each. Defaults to 200. */
  readonly firstBackOffMs?: number | undefined;
  /** The longest pause, in milliseconds. Defaults to 30_000. */
  readonly maxBackOffMs?: number | undefined;
}

/** How a child process is run. */
export interface ChildOptions {
  /** A program in any language that speaks the wire protocol, instead of a module. */
  readonly command?: ChildCommand | undefined;
  /** The folder that it runs in. Defaults to this process's. */
  readonly cwd?: string | undefined;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Options of the child's Node.js, such as `--max-old-space-size=256`. Defaults to none. */
  readonly execArgv?: readonly string[] | undefined;
  readonly restart?: RestartOptions | undefined;
  /** How often the child is asked whether it answers, in milliseconds. Defaults to 2000. */
  readonly heartbeatMs?: number | undefined;
  /** How long it may stay silent before it counts as hung and is killed, in milliseconds. Defaults to 10_000. */
  readonly hangTimeoutMs?: number | undefined;
  /** The most memory that the child may have resident, in bytes; above it is killed. Linux only. Defaults to no limit. */
  readonly maxResidentBytes?: number | undefined;
  /** How long its start may take, in milliseconds. Defaults to 25_000. */
  readonly startTimeoutMs?: number | undefined;
  /** How long its stop may take before SIGKILL, in milliseconds. Defaults to 4000: less than a kernel gives a plugin's stop. */
  readonly stopTimeoutMs?: number | undefined;
}

/** What surrounds a {@link ChildPlugin}. */
export interface ChildEnvironment {
  readonly start: StartRequest;
  /** What the child may use of this side. */
  readonly serves: ProviderSource;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly onDegraded: (reason: string | undefined) => void;
}

/** A child that ran for so long has recovered: its next end begins with the first back-off again. */
const recoveredAfterMs = 30_000;

/** A plugin in a child process that is started again when it ends. Calls go to the child that is there now. */
export class ChildPlugin {
  /** Sends calls to the present child; rejects with `UNAVAILABLE` while there is none. */
  readonly sender: CallSender;
  readonly #environment: ChildEnvironment;
  readonly #options: ChildOptions;
  readonly #stopped: AbortController = new AbortController();
  #peer: ChildProcessPeer | undefined;
  #supervision: Promise<void> | undefined;
  #offered: readonly ProviderInfo[] = [];
  #downBecause = "it has not started yet";
  #failures = 0;

  private constructor(environment: ChildEnvironment, options: ChildOptions) {
    this.#environment = environment;
    this.#options = options;
    this.sender = {
      call: (...args) => {
        const peer = this.#peer;
        return peer === undefined ? Promise.reject(this.#unavailable()) : peer.connection.sender.call(...args);
      },
      stream: (...args) => {
        const peer = this.#peer;
        if (peer === undefined) throw this.#unavailable();
        return peer.connection.sender.stream(...args);
      },
    };
  }

  /** Starts the child. Rejects with what its plugin's setup rejects with; nothing is left then. */
  static async start(environment: ChildEnvironment, options: ChildOptions, signal: AbortSignal): Promise<ChildPlugin> {
    const child = new ChildPlugin(environment, options);
    const onAbort = (): void => child.#stopped.abort(signal.reason);
    if (signal.aborted) throw toAbortError(signal);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      child.#offered = await child.#launch();
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    child.#supervision = child.#supervise();
    return child;
  }

  /** What the child provides of a point under a name. Throws `FAILED_PRECONDITION` when it does not, or an incompatible version. */
  offered(point: AnyExtensionPoint, name: string): ProviderInfo {
    const info = this.#offered.find((candidate) => candidate.point === point.id && candidate.name === name);
    if (info === undefined) {
      throw new VdcError("FAILED_PRECONDITION", `the child process does not provide '${point.id}' as '${name}'`, {
        reason: "VDC_PROVISION_MISSING",
      });
    }
    if (!isContractCompatible(point.version, info.version)) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `the child process provides version ${info.version} of '${point.id}', and this side was built against ${point.version}`,
        { reason: "VDC_REMOTE_VERSION" },
      );
    }
    return info;
  }

  /** The pid of the present child. */
  get pid(): number | undefined {
    return this.#peer?.pid;
  }

  /** Ends the child, and starts no other. */
  async stop(): Promise<void> {
    this.#stopped.abort(new VdcError("CANCELLED", "the plugin was stopped"));
    const peer = this.#peer;
    this.#peer = undefined;
    this.#downBecause = "it was stopped";
    await peer?.stop();
    await this.#supervision;
  }

  async #launch(): Promise<readonly ProviderInfo[]> {
    const { start, serves, logger, onDegraded } = this.#environment;
    let said: string | undefined;
    const hear = (reason: string | undefined): void => {
      said = reason;
      // What a child says before it can be called is kept until it can be.
      if (this.#peer === peer) onDegraded(reason);
    };
    const peer = ChildProcessPeer.spawn({ start, serves, logger, onDegraded: hear }, this.#options);
    try {
      const offered = await peer.start(this.#stopped.signal);
      this.#peer = peer;
      onDegraded(said);
      return offered;
    } catch (error) {
      await peer.kill();
      throw error;
    }
  }

  async #supervise(): Promise<void> {
    const { clock, logger, onDegraded } = this.#environment;
    const { signal } = this.#stopped;
    const { firstBackOffMs = 200, maxBackOffMs = 30_000 } = this.#options.restart ?? {};
    while (!signal.aborted) {
      if (this.#peer !== undefined) {
        const began = clock.monotonic();
        const why = await this.#peer.ended;
        this.#peer = undefined;
        if (signal.aborted) return;
        if (clock.monotonic() - began > recoveredAfterMs) this.#failures = 0;
        this.#downBecause = why;
      }
      const pauseMs = Math.min(maxBackOffMs, firstBackOffMs * 2 ** Math.min(20, this.#failures++));
      onDegraded(`its child process is down (${this.#downBecause}) and is started again in ${pauseMs} ms`);
      logger.warn("a plugin's child process is down", { reason: this.#downBecause, pauseMs });
      try {
        await clock.sleep(pauseMs, { signal });
        await this.#launch();
      } catch (error) {
        if (!signal.aborted)
          this.#downBecause = `it did not start: ${error instanceof Error ? error.message : String(error)}`;
      }
    }
  }

  #unavailable(): VdcError {
    return new VdcError("UNAVAILABLE", `the plugin's child process is down: ${this.#downBecause}`, {
      reason: "VDC_CHILD_DOWN",
    });
  }
}
