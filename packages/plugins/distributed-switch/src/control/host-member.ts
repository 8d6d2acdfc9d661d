import { join } from "node:path";
import { type Clock, type Handle, type Json, type Logger, type OwnerStamp, toVdcError, VdcError } from "@vdc-os/core";
import type { HostRuntime } from "@vdc-os/core/host/v1";
import type { DataPlaneLimits } from "../dataplane/data-plane-limits.ts";
import type { AttachmentCounters, ProcessStatus } from "../process/process-protocol.ts";
import type { DesiredState } from "./desired-state.ts";
import { type HostConfigContent, hostConfigOf } from "./host-config.ts";
import { hostFailure, type MemberView, troubleOf, unknownMember } from "./member-state.ts";
import type { HostRecord } from "./records.ts";
import { settleHost } from "./settle-host.ts";

/** The part of a host's runtime that a switch needs. */
export type SwitchHostRuntime = Pick<Handle<HostRuntime>, "inventory" | "ensureProcess" | "removeProcess" | "request">;

/** The hosts that are connected now. */
export interface HostDirectory {
  has(name: string): boolean;
  get(name: string): SwitchHostRuntime;
}

/** What all members of a provider have in common. */
export interface HostMemberOptions {
  readonly state: DesiredState;
  readonly hosts: HostDirectory;
  readonly provider: string;
  readonly processId: string;
  readonly owner: OwnerStamp;
  /** URL of the process's module. */
  readonly module: string;
  readonly underlayMtu: number;
  readonly basePort: number;
  readonly limits?: Partial<DataPlaneLimits> | undefined;
  /** How long a host is waited for. */
  readonly requestTimeoutMs: number;
  /** How often a host is looked at when nothing happens. */
  readonly checkIntervalMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told when the view changes. */
  readonly onView: () => void;
}

/**
 * Keeps one host's switch process as it should be.
 *
 * It looks at what is, never at what happened: at each step the host is reached, its process runs, and the process has the configuration
 * that the desired state means now. A step that fails is tried again. Whatever a crash interrupted is found by the first step.
 */
export class HostMember {
  readonly host: string;
  readonly #options: HostMemberOptions;
  readonly #closing = new AbortController();
  #view: MemberView = unknownMember;
  #ensured = false;
  #applied: { readonly text: string; readonly generation: number } | undefined;
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  #wake: AbortController = new AbortController();
  #loop: Promise<void> | undefined;

  constructor(host: string, options: HostMemberOptions) {
    this.host = host;
    this.#options = options;
  }

  get view(): MemberView {
    return this.#view;
  }

  /** Begins to look after the host. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Leaves the host and its process as they are. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.wake();
    await this.#loop;
    await this.#running.catch(() => undefined);
  }

  /** Looks at the host at once. */
  wake(): void {
    this.#wake.abort();
  }

  /**
   * Resolves when the host has what was desired at the time of the call. Rejects with `UNAVAILABLE` when it can't be reached or does not
   * do it; it is tried again later all the same.
   */
  converge(): Promise<void> {
    if (this.#next === undefined) {
      const next = this.#running
        .catch(() => undefined)
        .then(() => {
          this.#next = undefined;
          return this.#step();
        });
      this.#next = next;
      this.#running = next;
    }
    return this.#next;
  }

  /** Calls a method of the host's process. */
  async request(method: string, params: Json): Promise<Json> {
    return this.#request(this.#runtime(), method, params, this.#options.requestTimeoutMs);
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#closing.signal.aborted) {
      this.#wake = new AbortController();
      const wake = this.#wake.signal;
      const ok = await this.converge().then(
        () => true,
        () => false,
      );
      failures = ok ? 0 : failures + 1;
      if (this.#closing.signal.aborted) return;
      const waited = ok
        ? this.#follow(wake)
        : this.#pause(Math.min(50 * 2 ** failures, this.#options.checkIntervalMs), wake);
      await waited.catch(() => undefined);
    }
  }

  #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    return this.#options.clock.sleep(delayMs, { signal });
  }

  /** Waits until the process's status changes, or somebody wakes this, or it is time to look again. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { status } = this.#view;
    const { checkIntervalMs, requestTimeoutMs } = this.#options;
    if (status === undefined) return this.#pause(checkIntervalMs, signal);
    const params = { instance: status.instance, since: status.version, waitMs: checkIntervalMs };
    const asked = this.#request(this.#runtime(), "status", params, checkIntervalMs + requestTimeoutMs, signal);
    // A host that answers at once with what is known already must not be asked without end.
    const next = (await asked) as unknown as ProcessStatus;
    if (next.instance === status.instance && next.version === status.version) await this.#pause(10, signal);
  }

  #runtime(): SwitchHostRuntime {
    const { hosts } = this.#options;
    if (!hosts.has(this.host)) {
      throw new VdcError("UNAVAILABLE", `host '${this.host}' is not connected`, { reason: "VDC_HOST_UNAVAILABLE" });
    }
    return hosts.get(this.host);
  }

  #request(
    runtime: SwitchHostRuntime,
    method: string,
    params: Json,
    timeoutMs: number,
    wake?: AbortSignal,
  ): Promise<Json> {
    const signals = [this.#closing.signal, ...(wake === undefined ? [] : [wake])];
    return runtime.request(
      { processId: this.#options.processId, method, params },
      { signal: AbortSignal.any(signals), timeoutMs },
    );
  }

  async #step(): Promise<void> {
    const { state } = this.#options;
    let doing: "reach" | "run" | "apply" = "reach";
    let status: ProcessStatus | undefined;
    try {
      if (!this.#needed && !state.hosts.has(this.host)) return;
      const runtime = this.#runtime();
      const record = await this.#learn(runtime);
      doing = "run";
      status = await this.#ensure(runtime, record);
      doing = "apply";
      const { revision } = state;
      const content = hostConfigOf(state, record, this.#options);
      status = await this.#apply(runtime, content, status);
      doing = "reach";
      await settleHost(this.host, {
        ...{ state, content, status },
        counters: async () => {
          const told = await this.#request(runtime, "portStatistics", {}, this.#options.requestTimeoutMs);
          return told as unknown as readonly AttachmentCounters[];
        },
      });
      if (!this.#needed) await this.#remove(runtime);
      this.#see({ trouble: "none", detail: "", current: true, revision, status });
    } catch (error) {
      if (doing !== "apply") this.#ensured = false;
      const trouble = troubleOf(error, doing);
      // What the process was last seen to have stays: it goes on without us.
      this.#see({ ...trouble, current: false, revision: 0, status: status ?? this.#view.status });
      if (trouble.trouble !== "disconnected") {
        this.#options.logger.warn("a host's switch is not as it should be", {
          host: this.host,
          detail: trouble.detail,
        });
      }
      throw hostFailure(this.host, error);
    }
  }

  get #needed(): boolean {
    const { state } = this.#options;
    return [...state.switches.values()].some(({ spec }) => spec.members.some(({ host }) => host === this.host));
  }

  /** The host's record, brought up to date. It is on disk before the process is started, so that a process is never forgotten. */
  async #learn(runtime: SwitchHostRuntime): Promise<HostRecord> {
    const { state, requestTimeoutMs } = this.#options;
    const known = state.hosts.get(this.host);
    if (known !== undefined && this.#ensured) return known;
    const { address, directory } = await runtime.inventory(
      {},
      { signal: this.#closing.signal, timeoutMs: requestTimeoutMs },
    );
    if (known?.address === address && known.directory === directory) return known;
    const value: HostRecord = { host: this.host, address, directory };
    return state.change(() => ({ writes: [{ kind: "host", id: this.host, value }], result: value }));
  }

  async #ensure(runtime: SwitchHostRuntime, record: HostRecord): Promise<ProcessStatus> {
    const { processId, owner, module, provider, requestTimeoutMs } = this.#options;
    const ask = async (): Promise<ProcessStatus> =>
      (await this.#request(runtime, "status", {}, requestTimeoutMs)) as unknown as ProcessStatus;
    if (this.#ensured) {
      try {
        return await ask();
      } catch (error) {
        if (toVdcError(error).code === "DEADLINE_EXCEEDED") throw error;
        this.#ensured = false;
      }
    }
    const config = { directory: join(record.directory, "network", provider) };
    await runtime.ensureProcess(
      { processId, owner, program: { kind: "module", module, config } },
      { signal: this.#closing.signal, timeoutMs: 20_000 },
    );
    const status = await ask();
    this.#ensured = true;
    return status;
  }

  async #apply(runtime: SwitchHostRuntime, content: HostConfigContent, found: ProcessStatus): Promise<ProcessStatus> {
    const { state, requestTimeoutMs } = this.#options;
    const text = JSON.stringify(content);
    const same = this.#applied?.text === text;
    if (same && found.generation === this.#applied?.generation) return found;
    const generation = same && this.#applied !== undefined ? this.#applied.generation : state.revision;
    await this.#request(runtime, "apply", { generation, ...content } as unknown as Json, requestTimeoutMs);
    this.#applied = { text, generation };
    return (await this.#request(runtime, "status", {}, requestTimeoutMs)) as unknown as ProcessStatus;
  }

  /** Ends the process of a host that has no switch any more, and then forgets the host. */
  async #remove(runtime: SwitchHostRuntime): Promise<void> {
    const { state, processId } = this.#options;
    await runtime.removeProcess({ processId }, { signal: this.#closing.signal, timeoutMs: 20_000 });
    this.#ensured = false;
    this.#applied = undefined;
    await state.change(() => ({ writes: [{ kind: "host", id: this.host, value: undefined }], result: undefined }));
  }

  #see(view: MemberView): void {
    const before = this.#view;
    this.#view = view;
    if (JSON.stringify(before) !== JSON.stringify(view)) this.#options.onView();
  }
}
