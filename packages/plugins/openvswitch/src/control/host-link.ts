import type { Clock, Logger } from "@vdc-os/core";
import { OvsdbError, type TlsSettings } from "@vdc-os/ovsdb";
import type { OpenVswitchConfig } from "../openvswitch-config.ts";
import type { BridgePorts } from "../pipeline/switch-flows.ts";
import { HostBridge } from "./host-bridge.ts";
import { type BridgeView, HostDatabase } from "./host-database.ts";
import { type DesiredBridge, desiredBridge } from "./host-rows.ts";
import { interfaceId, tunnelName } from "./names.ts";
import { type KeptSwitch, noCounters, type PortCounters, type PortRecord } from "./records.ts";
import type { ShownFrames } from "./shown-frames.ts";

/** What a host is made from. */
export interface HostLinkOptions {
  readonly host: string;
  readonly config: OpenVswitchConfig;
  readonly tls?: TlsSettings;
  /** Of the manager: the one with the highest number may change bridges. */
  readonly generation: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly switches: () => ReadonlyMap<string, KeptSwitch>;
  /** Where frames go that bridges show to the manager. */
  readonly shown: ShownFrames;
  /** Called whenever what the host tells is other than before. */
  readonly onChange: () => void;
}

/** A switch as it is on the host. */
export interface HostSwitchView {
  /** What was there when all of it was last as it should be: flows read back, and tunnels made. */
  readonly realized: KeptSwitch | undefined;
  readonly problem: string | undefined;
}

/** A VM's NIC on the host. */
export interface NicView {
  readonly isUp: boolean;
  readonly problem: string | undefined;
}

const retryMs = 500;

/**
 * One host, made as it should be, and kept so: by level, from what is desired and what the host tells now. One round after another: the database first, then
 * each bridge's flows.
 */
export class HostLink {
  readonly #options: HostLinkOptions;
  readonly #closing = new AbortController();
  readonly #switches = new Map<string, HostBridge>();
  #database: HostDatabase | undefined;
  #problem: string | undefined = "is not connected yet";
  #isDirty = true;
  #wake: (() => void) | undefined;
  #cancelRetry: (() => void) | undefined;
  #superseded = false;
  #auditAt: number;
  readonly #running: Promise<void>;

  constructor(options: HostLinkOptions) {
    this.#options = options;
    this.#auditAt = options.clock.monotonic() + this.#auditIntervalMs;
    this.#running = this.#run();
  }

  get isConnected(): boolean {
    return this.#problem === undefined && this.#database?.isConnected === true;
  }

  /** Why it is not connected, or does not take changes over. */
  get problem(): string | undefined {
    return this.#problem ?? (this.#database?.isConnected === true ? undefined : "its database can't be reached");
  }

  /** Makes sure that what is desired now will be looked at. */
  kick(): void {
    this.#isDirty = true;
    this.#wake?.();
  }

  view(switchId: string): HostSwitchView {
    const known = this.#switches.get(switchId);
    return { realized: known?.realized, problem: known?.problem };
  }

  /** Undefined where there is no such NIC. */
  nic(port: PortRecord): NicView | undefined {
    const { name } = this.#options.config;
    const id = interfaceId(name, port);
    const found = this.#bridgeView(port.switchId)?.ports.find((each) => each.interfaceId === id);
    if (found === undefined) return undefined;
    const passes = this.#switches.get(port.switchId)?.nics.get(id) === found.ofport;
    return { isUp: found.ofport !== undefined && found.isLinkUp && passes, problem: found.error };
  }

  /** What the host has counted: of the port, or of every port of the switch. Nothing where it can't be asked. */
  async counters(kept: KeptSwitch, only?: PortRecord): Promise<ReadonlyMap<number, PortCounters>> {
    const { switchId } = kept.record.spec;
    const known = this.#switches.get(switchId);
    if (known === undefined) return new Map();
    const bridge = this.#bridgePorts(switchId, this.#bridgeView(switchId));
    const asked = only === undefined ? [...kept.ports.values()] : [only];
    const nics = asked.flatMap((port) => {
      const nic = bridge.nic(port);
      return nic === undefined ? [] : [[port.number, nic] as const];
    });
    return known.counters(new Map(nics), only?.number);
  }

  async countersOf(kept: KeptSwitch, port: PortRecord): Promise<PortCounters> {
    return (await this.counters(kept, port)).get(port.number) ?? noCounters;
  }

  /** The ports of a switch's bridge as they are now. */
  bridgePorts(switchId: string): BridgePorts {
    return this.#bridgePorts(switchId, this.#bridgeView(switchId));
  }

  /** Sends a frame out by a port of a switch's bridge; `false` where that can't be. */
  sendFrame(switchId: string, port: number, frame: Buffer): boolean {
    return this.#switches.get(switchId)?.sendFrame(port, frame) ?? false;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    await this.#running;
    this.#cancelRetry?.();
    for (const known of this.#switches.values()) known.close();
    await this.#database?.[Symbol.asyncDispose]();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      if (!this.#isDirty) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#isDirty = false;
      try {
        const failed = await this.#round();
        this.#problem = undefined;
        this.#retryIn(failed ? retryMs : Math.max(1, this.#auditAt - this.#options.clock.monotonic()));
      } catch (error) {
        if (signal.aborted) return;
        this.#fail(error);
        if (!this.#superseded) this.#retryIn(retryMs);
      }
      this.#options.onChange();
    }
  }

  /** Returns whether any of the switches is not as it should be. */
  async #round(): Promise<boolean> {
    const { config, host, switches } = this.#options;
    if (this.#superseded) throw supersededError();
    const { requestTimeoutMs: timeoutMs = 5_000 } = config;
    const { signal } = this.#closing;
    this.#database ??= await this.#open();
    const wanted = new Map<string, { readonly kept: KeptSwitch; readonly bridge: DesiredBridge }>();
    for (const [switchId, kept] of switches()) {
      const { record } = kept;
      if (!record.spec.members.some((member) => member.host === host)) continue;
      wanted.set(switchId, { kept, bridge: desiredBridge({ config, host, record }) });
    }
    await this.#database.realize(
      [...wanted.values()].map(({ bridge }) => bridge),
      { timeoutMs, signal },
    );
    for (const [switchId, known] of this.#switches) {
      if (wanted.has(switchId)) continue;
      known.close();
      this.#switches.delete(switchId);
    }
    const isAudit = this.#options.clock.monotonic() >= this.#auditAt;
    if (isAudit) this.#auditAt = this.#options.clock.monotonic() + this.#auditIntervalMs;
    for (const [switchId, { kept, bridge }] of wanted) {
      if (signal.aborted) break;
      const known = this.#known(switchId);
      if (isAudit) known.distrust();
      const view = this.#bridgeView(switchId);
      const ports = this.#bridgePorts(switchId, view);
      const captured = this.#options.shown.captured(switchId);
      if ((await known.sync(bridge, { kept, view, ports, captured })) === "done") continue;
      this.#superseded = true;
      throw supersededError();
    }
    return [...this.#switches.values()].some(({ problem }) => problem !== undefined);
  }

  #open(): Promise<HostDatabase> {
    const { config, host, tls } = this.#options;
    return HostDatabase.open({
      remotes: config.hosts[host]?.openVswitch ?? "",
      provider: config.name,
      timeoutMs: config.requestTimeoutMs ?? 5_000,
      signal: this.#closing.signal,
      onChange: () => {
        this.kick();
        this.#options.onChange();
      },
      ...(tls === undefined ? {} : { tls }),
    });
  }

  #known(switchId: string): HostBridge {
    const known = this.#switches.get(switchId);
    if (known !== undefined) return known;
    const { tls, config, generation, host, shown } = this.#options;
    const fresh = new HostBridge({
      generation,
      timeoutMs: config.requestTimeoutMs ?? 5_000,
      onClose: () => this.kick(),
      onPacket: (packet) => shown.show({ switchId, host, packet }),
      ...(tls === undefined ? {} : { tls }),
    });
    this.#switches.set(switchId, fresh);
    return fresh;
  }

  #bridgeView(switchId: string): BridgeView | undefined {
    const kept = this.#options.switches().get(switchId);
    if (kept === undefined) return undefined;
    const { config, host } = this.#options;
    return this.#database?.bridge(desiredBridge({ config, host, record: kept.record }).name);
  }

  #bridgePorts(switchId: string, view: BridgeView | undefined): BridgePorts {
    const { config, host } = this.#options;
    const byName = new Map((view?.ports ?? []).map((port) => [port.name, port.ofport]));
    const byId = new Map((view?.ports ?? []).map((port) => [port.interfaceId, port.ofport]));
    return {
      host,
      nic: (port) => byId.get(interfaceId(config.name, port)),
      tunnel: (other, kind) => byName.get(tunnelName(config.name, switchId, other, kind)),
    };
  }

  #fail(error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (error instanceof OvsdbError && error.details?.error === "not owner") this.#superseded = true;
    if (this.#problem !== text) {
      this.#options.logger.warn("a host's Open vSwitch is not as it should be", {
        host: this.#options.host,
        detail: text,
      });
    }
    this.#problem = text;
  }

  #retryIn(delayMs: number): void {
    this.#cancelRetry?.();
    this.#cancelRetry = this.#options.clock.schedule(delayMs, () => this.kick());
  }

  get #auditIntervalMs(): number {
    return this.#options.config.auditIntervalMs ?? 30_000;
  }
}

function supersededError(): Error {
  return new Error("another manager has taken this host over");
}
