import { setTimeout as delay } from "node:timers/promises";
import { type Logger, silentLogger, toVdcError, VdcError } from "@vdc-os/core";
import { OvsdbClient, OvsdbError, type OvsdbMonitor } from "@vdc-os/ovsdb";
import { OpenVSwitch, type OpenVSwitchTables } from "@vdc-os/ovsdb/open-vswitch";
import type { BridgePort } from "./bridge-port.ts";
import { followed, type FollowedRows, planPorts } from "./port-rows.ts";
import { SerialQueue } from "./serial-queue.ts";

/** What {@link HostBridges} works with. */
export interface HostBridgesOptions {
  /** The remotes of the host's Open vSwitch database. */
  readonly remotes: string;
  /** The host's folder: what its ports are marked with. */
  readonly owner: string;
  readonly logger: Logger;
}

/** How long the database, and then Open vSwitch itself, may take to answer. */
const answerMs = 5_000;
const retryMs = 1_000;

/**
 * The ports of this host's VMs in its Open vSwitch. What is wanted is kept here, in memory: it follows from the VMs that run. From {@link begin} on, and after
 * every change of the database, the rows that bear the folder's mark are made to be just that, so that nothing stays of a VM that is gone, whoever was
 * killed, and a VM that runs gets a port back that somebody removed.
 */
export class HostBridges {
  readonly #options: HostBridgesOptions;
  readonly #client: OvsdbClient<OpenVSwitchTables>;
  readonly #queue = new SerialQueue();
  readonly #closing = new AbortController();
  readonly #wanted = new Map<string, BridgePort>();
  readonly #following: Promise<OvsdbMonitor<FollowedRows>>;
  #left: ReadonlySet<string> | undefined;
  #monitor: OvsdbMonitor<FollowedRows> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isQueued = false;

  /** Begins to connect. Throws `INVALID_ARGUMENT` for remotes that are none. */
  constructor(options: HostBridgesOptions) {
    this.#options = options;
    try {
      this.#client = new OvsdbClient({ remotes: options.remotes, model: OpenVSwitch });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new VdcError("INVALID_ARGUMENT", `'openVswitch' of the config is wrong: ${why}`, { cause });
    }
    this.#following = this.#follow();
    this.#following.catch(() => undefined);
  }

  /** Removes all ports that bear a folder's mark. Fails with `UNAVAILABLE` when the database does not answer. */
  static async sweep(remotes: string, owner: string): Promise<void> {
    const bridges = new HostBridges({ remotes, owner, logger: silentLogger });
    try {
      const monitor = await bridges.#current(new AbortController().signal);
      bridges.#left = new Set();
      await bridges.#queue.run(() => bridges.#realize(monitor));
    } finally {
      await bridges.close();
    }
  }

  /** Lets ports be removed that are not wanted, but for those of `left`. Before, it must be known which VMs run. */
  begin(left: Iterable<string>): void {
    this.#left = new Set(left);
    this.#kick();
  }

  /** Notes ports of a VM that runs: they are there already, or are added as soon as Open vSwitch can be reached. */
  adopt(ports: readonly BridgePort[]): void {
    for (const port of ports) this.#wanted.set(port.tap, port);
  }

  /** Whether a bridge's frames go through a userspace datapath. Fails with `UNAVAILABLE` when there is no such bridge. */
  async isUserspace(bridge: string, signal: AbortSignal): Promise<boolean> {
    const monitor = await this.#current(signal);
    const row = monitor.tables.Bridge.find({ name: bridge });
    if (row !== undefined) return row.datapath_type !== "" && row.datapath_type !== "system";
    throw this.#unavailable(`it has no bridge '${bridge}'`);
  }

  /** Adds ports, and resolves when Open vSwitch passes frames there. Their taps must be there. Fails with `UNAVAILABLE`, and why. */
  async plug(ports: readonly BridgePort[], signal: AbortSignal): Promise<void> {
    if (ports.length === 0) return;
    const monitor = await this.#current(signal);
    this.adopt(ports);
    try {
      await this.#queue.run(() => this.#realize(monitor));
      const asked = monitor.tables.Open_vSwitch.only()?.next_cfg ?? 0;
      const what = "'ovs-vswitchd' to take the ports over: see whether it runs";
      const isTaken = ({ Open_vSwitch }: OvsdbMonitor<FollowedRows>["tables"]): boolean =>
        (Open_vSwitch.only()?.cur_cfg ?? 0) >= asked;
      await monitor.waitFor(isTaken, { timeoutMs: answerMs, signal, what });
    } catch (error) {
      if (signal.aborted) throw toVdcError(signal.reason);
      throw this.#unavailable(wordsOf(error), error);
    }
    for (const { tap, bridge } of ports) {
      const face = monitor.tables.Interface.find({ name: tap });
      if (face?.ofport !== undefined && face.ofport > 0) continue;
      const why = face === undefined ? `it has no bridge '${bridge}'` : (face.error ?? "it does not say why");
      throw this.#unavailable(`the tap '${tap}' can't be a port of bridge '${bridge}': ${why}`);
    }
  }

  /** Removes the ports of a VM. Never fails: what can't be removed now is when Open vSwitch can be reached. */
  async unplug(vmId: string): Promise<void> {
    for (const [tap, port] of this.#wanted) if (port.vmId === vmId) this.#wanted.delete(tap);
    await this.#queue.run(() => this.#realizeOrRetry());
  }

  /** Lets go of the ports, which stay. */
  async close(): Promise<void> {
    this.#closing.abort(new VdcError("UNAVAILABLE", "the hypervisor is being closed"));
    clearTimeout(this.#retry);
    await this.#client.close();
    await this.#queue.idle();
  }

  async #follow(): Promise<OvsdbMonitor<FollowedRows>> {
    const { logger, remotes } = this.#options;
    for (let isFirst = true; ; isFirst = false) {
      try {
        const monitor = await this.#client.monitor(followed, { timeoutMs: answerMs, signal: this.#closing.signal });
        this.#monitor = monitor;
        monitor.on("changes", () => this.#kick());
        monitor.on("current", () => this.#kick());
        this.#kick();
        return monitor;
      } catch (error) {
        if (this.#closing.signal.aborted) throw error;
        if (isFirst) logger.warn("Open vSwitch can't be reached", { remotes, detail: wordsOf(error) });
        await delay(retryMs, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined);
      }
    }
  }

  /** The tables as they are now. */
  async #current(signal: AbortSignal): Promise<OvsdbMonitor<FollowedRows>> {
    const limit = AbortSignal.any([signal, this.#closing.signal, AbortSignal.timeout(answerMs)]);
    const given = Promise.withResolvers<never>();
    const onAbort = (): void => given.reject(limit.reason);
    limit.addEventListener("abort", onAbort, { once: true });
    try {
      const monitor = await Promise.race([this.#following, given.promise]);
      await monitor.waitFor(() => true, { timeoutMs: answerMs, signal: limit, what: "its database" });
      return monitor;
    } catch (error) {
      if (signal.aborted) throw toVdcError(signal.reason);
      throw this.#unavailable(`'${this.#options.remotes}' does not answer`, error);
    } finally {
      limit.removeEventListener("abort", onAbort);
    }
  }

  /** Has the rows looked at soon. */
  #kick(): void {
    if (this.#isQueued || this.#closing.signal.aborted) return;
    this.#isQueued = true;
    void this.#queue.run(async () => {
      this.#isQueued = false;
      await this.#realizeOrRetry();
    });
  }

  async #realizeOrRetry(): Promise<void> {
    const monitor = this.#monitor;
    if (monitor?.isCurrent !== true || this.#closing.signal.aborted) return;
    try {
      await this.#realize(monitor);
    } catch (error) {
      const { logger, remotes } = this.#options;
      logger.warn("ports of Open vSwitch can't be changed now", { remotes, detail: wordsOf(error) });
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#kick(), retryMs).unref();
    }
  }

  async #realize(monitor: OvsdbMonitor<FollowedRows>): Promise<void> {
    const left = this.#left;
    if (left === undefined) return;
    const transaction = this.#client.transaction();
    planPorts(transaction, monitor.tables, { owner: this.#options.owner, wanted: this.#wanted, left });
    if (transaction.size === 0) return;
    transaction.mutate("Open_vSwitch", [], [["next_cfg", "+=", 1]]);
    await this.#client.transact(transaction, { timeoutMs: answerMs });
  }

  #unavailable(why: string, cause?: unknown): VdcError {
    return new VdcError("UNAVAILABLE", `this host's Open vSwitch can't be used: ${why}`, {
      reason: "VDC_OPEN_VSWITCH",
      cause,
    });
  }
}

function wordsOf(error: unknown): string {
  const explanation = error instanceof OvsdbError ? error.details?.explanation : undefined;
  const text = error instanceof Error ? error.message : String(error);
  return explanation === undefined || text.includes(explanation) ? text : `${text} (${explanation})`;
}
