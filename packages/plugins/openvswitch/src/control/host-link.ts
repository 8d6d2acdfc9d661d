import type { Clock, Logger } from "@vdc-os/core";
import { OvsdbError, type TlsSettings } from "@vdc-os/ovsdb";
import type { OpenVswitchConfig } from "../openvswitch-config.ts";
import { type BridgePorts, switchFlows } from "../pipeline/switch-flows.ts";
import { BridgeFlows } from "./bridge-flows.ts";
import { type BridgeView, HostDatabase } from "./host-database.ts";
import { type DesiredBridge, desiredBridge } from "./host-rows.ts";
import { interfaceId, tunnelName } from "./names.ts";
import { type KeptSwitch, noCounters, type PortCounters, type PortRecord } from "./records.ts";

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

interface HostSwitch {
  flows: BridgeFlows | undefined;
  /** What flows were last made from, so that they are made again only when that has changed. */
  basis: { readonly kept: KeptSwitch; readonly ports: string } | undefined;
  realized: KeptSwitch | undefined;
  /** The NICs that flows are there for, by `iface-id`. */
  nics: ReadonlyMap<string, number>;
  problem: string | undefined;
}

const retryMs = 500;

/**
 * One host, made as it should be, and kept so: by level, from what is desired and what the host tells now. One round after another: the database first, then
 * each bridge's flows.
 */
export class HostLink {
  readonly #options: HostLinkOptions;
  readonly #closing = new AbortController();
  readonly #switches = new Map<string, HostSwitch>();
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
    if (known === undefined) return { realized: undefined, problem: undefined };
    const isThere = known.flows?.isConnected === true;
    return { realized: isThere ? known.realized : undefined, problem: known.problem };
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
    const flows = this.#switches.get(switchId)?.flows;
    if (flows?.isConnected !== true) return new Map();
    const bridge = this.#bridgePorts(switchId, this.#bridgeView(switchId));
    const asked = only === undefined ? [...kept.ports.values()] : [only];
    const nics = asked.flatMap((port) => {
      const nic = bridge.nic(port);
      return nic === undefined ? [] : [[port.number, nic] as const];
    });
    try {
      return await flows.counters(new Map(nics), only?.number);
    } catch {
      return new Map();
    }
  }

  async countersOf(kept: KeptSwitch, port: PortRecord): Promise<PortCounters> {
    return (await this.counters(kept, port)).get(port.number) ?? noCounters;
  }

  /** The ports of a switch's bridge as they are now. */
  bridgePorts(switchId: string): BridgePorts {
    return this.#bridgePorts(switchId, this.#bridgeView(switchId));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake?.();
    await this.#running;
    this.#cancelRetry?.();
    for (const { flows } of this.#switches.values()) flows?.close();
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
    for (const [switchId, { flows }] of this.#switches) {
      if (wanted.has(switchId)) continue;
      flows?.close();
      this.#switches.delete(switchId);
    }
    const isAudit = this.#options.clock.monotonic() >= this.#auditAt;
    if (isAudit) this.#auditAt = this.#options.clock.monotonic() + this.#auditIntervalMs;
    for (const [switchId, { kept, bridge }] of wanted) {
      if (signal.aborted) break;
      const known = this.#known(switchId);
      if (isAudit) {
        known.flows?.distrust();
        known.basis = undefined;
      }
      await this.#sync(known, kept, bridge);
    }
    if (this.#superseded) throw supersededError();
    return [...this.#switches.values()].some(({ problem }) => problem !== undefined);
  }

  /** Makes one bridge's flows as they should be. */
  async #sync(known: HostSwitch, kept: KeptSwitch, desired: DesiredBridge): Promise<void> {
    const { switchId } = desired;
    const view = this.#bridgeView(switchId);
    const failed = desired.tunnels.flatMap(({ name, host }) => {
      const port = view?.ports.find((each) => each.name === name);
      if (port === undefined) return [`tunnel '${name}' to host '${host}' is not there`];
      if (port.ofport !== undefined) return [];
      return [`tunnel '${name}' to host '${host}' can't be made: ${port.error ?? "Open vSwitch does not say why"}`];
    });
    const ports = JSON.stringify(view?.ports.map(({ name, interfaceId: id, ofport }) => [name, id, ofport]));
    const isSame = known.basis?.kept === kept && known.basis.ports === ports && known.flows?.isConnected === true;
    if (isSame && known.problem === undefined) return;
    try {
      const flows = await this.#connect(known, desired);
      const made = switchFlows(kept, this.#bridgePorts(switchId, view));
      await flows.sync(made.flows, made.meters);
      known.basis = { kept, ports };
      known.nics = new Map(
        (view?.ports ?? []).flatMap(({ interfaceId: id, ofport }) =>
          id === undefined || ofport === undefined ? [] : [[id, ofport] as const],
        ),
      );
      known.problem = failed[0];
      known.realized = failed.length === 0 ? kept : known.realized;
    } catch (error) {
      known.basis = undefined;
      known.problem = error instanceof Error ? error.message : String(error);
    }
  }

  async #connect(known: HostSwitch, { openFlow }: DesiredBridge): Promise<BridgeFlows> {
    if (known.flows?.isConnected === true) return known.flows;
    const { tls, config, generation } = this.#options;
    const flows = await BridgeFlows.connect(
      {
        remote: openFlow,
        timeoutMs: config.requestTimeoutMs ?? 5_000,
        onClose: () => this.kick(),
        ...(tls === undefined ? {} : { tls }),
      },
      BigInt(generation),
    );
    if (flows === undefined) {
      this.#superseded = true;
      throw supersededError();
    }
    // What was read back over another connection says nothing: Open vSwitch may have been started again in between, with an empty table.
    known.realized = undefined;
    known.nics = new Map();
    known.flows = flows;
    return flows;
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

  #known(switchId: string): HostSwitch {
    const known = this.#switches.get(switchId);
    if (known !== undefined) return known;
    const fresh: HostSwitch = {
      flows: undefined,
      basis: undefined,
      realized: undefined,
      nics: new Map(),
      problem: undefined,
    };
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
