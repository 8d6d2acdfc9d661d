import { type Clock, type Logger, VdcError } from "@vdc-os/core";
import {
  addCounters,
  ChangeSignal,
  countedPorts,
  countersSince,
  type PortStatistics,
  type SwitchStatus,
} from "@vdc-os/core/network/v1";
import type { TlsSettings } from "@vdc-os/ovsdb";
import { FlowVerifier } from "../flows/flow-verifier.ts";
import type { OvnConfig, OvnHostConfig } from "../ovn-config.ts";
import { ChassisInterfaces, type InterfaceView } from "./chassis-interfaces.ts";
import { logicalPort } from "./names.ts";
import type { OvnConnections } from "./ovn-connections.ts";
import { flowsOfPort, statusOf } from "./ovn-view.ts";
import { type CarriedCounters, type KeptSwitch, noCounters, type PortRecord } from "./records.ts";

/** Options of {@link Realization}. */
export interface RealizationOptions {
  readonly config: OvnConfig;
  readonly connections: OvnConnections;
  readonly switches: () => ReadonlyMap<string, KeptSwitch>;
  readonly tls: TlsSettings | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What hosts have made of what is kept: chassis that acknowledge it, bridges that hold its flows, and NICs that count. */
export class Realization {
  readonly changes: ChangeSignal = new ChangeSignal();
  readonly #options: RealizationOptions;
  /** By which number each switch as it is now is acknowledged. */
  readonly #sequences = new Map<string, number>();
  /** What each host was last seen to have realised of each switch. */
  readonly #realized = new Map<string, number>();
  readonly #hosts = new Map<string, ReturnType<typeof ChassisInterfaces.open>>();
  readonly #verifiers = new Map<string, FlowVerifier>();
  readonly #closing = new AbortController();

  constructor(options: RealizationOptions) {
    this.#options = options;
    const { config, connections, clock, logger } = options;
    const tls = options.tls === undefined ? {} : { tls: options.tls };
    for (const [host, { openVswitch, openFlow }] of Object.entries(config.hosts)) {
      const onChange = (): void => this.changes.tell();
      if (openVswitch !== undefined) {
        const { signal } = this.#closing;
        this.#hosts.set(host, ChassisInterfaces.open({ remotes: openVswitch, logger, onChange, signal, ...tls }));
      }
      const remote = openFlow ?? managementSocket(openVswitch, config.bridge);
      if (remote === undefined) continue;
      const { requestTimeoutMs: timeoutMs = 5_000 } = config;
      const wanted = (): readonly bigint[] => this.#cookiesOf(host);
      this.#verifiers.set(host, new FlowVerifier({ remote, timeoutMs, clock, logger, wanted, onChange, ...tls }));
    }
    connections.onChange(() => this.tell());
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.changes.tell();
    await Promise.all([...this.#hosts.values(), ...this.#verifiers.values()].map((each) => each.close()));
  }

  /** Looks at what is wanted now, and tells whoever waits. */
  tell(): void {
    for (const verifier of this.#verifiers.values()) verifier.kick();
    this.changes.tell();
  }

  /** Says by which number a switch as it is now is acknowledged. */
  asked(switchId: string, sequence: number): void {
    this.#sequences.set(switchId, sequence);
  }

  forget(switchId: string): void {
    this.#sequences.delete(switchId);
  }

  chassisOf(host: string): string {
    return chassisName(this.#options.config, host);
  }

  /** Whether OVN knows the host's chassis. */
  isThere(host: string): boolean {
    return this.#options.connections.chassis(this.chassisOf(host)) !== undefined;
  }

  absent(host: string): VdcError {
    return new VdcError("UNAVAILABLE", `chassis '${this.chassisOf(host)}' of host '${host}' does not answer`, {
      reason: "VDC_HOST_UNAVAILABLE",
    });
  }

  /** Resolves when these hosts have acknowledged the switch as it is now. */
  async settled(switchId: string, hosts: readonly string[]): Promise<void> {
    const { config, connections } = this.#options;
    const sequence = this.#sequences.get(switchId) ?? 0;
    const { requestTimeoutMs = 5_000 } = config;
    const late = (): string | undefined =>
      hosts.find((host) => {
        const view = connections.chassis(this.chassisOf(host));
        return view === undefined || view.acknowledged < sequence;
      });
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(requestTimeoutMs)]);
    for (let host = late(); host !== undefined; host = late()) {
      if (signal.aborted) throw this.absent(host);
      await this.changes.next(signal);
    }
  }

  /** The switch as it is. What hosts have realised is written down: so it has to be asked for before the switch changes. */
  status(kept: KeptSwitch): SwitchStatus {
    const { switchId } = kept.record.spec;
    const { config, connections } = this.#options;
    const status = statusOf({
      provider: config.name,
      kept,
      sequence: this.#sequences.get(switchId) ?? Number.POSITIVE_INFINITY,
      realizedBefore: (host) => this.#realized.get(`${switchId} ${host}`) ?? 0,
      chassisOf: (host) => this.chassisOf(host),
      chassis: connections.chassis,
      binding: connections.binding,
      logicalFlows: connections.logicalFlows,
      verifier: (host) => this.#verifiers.get(host),
      nic: (host, port) => this.#nic(host, port),
    });
    for (const { host, realizedGeneration } of status.members) {
      this.#realized.set(`${switchId} ${host}`, realizedGeneration);
    }
    return status;
  }

  /** Counters of ports: of these, or of all that have any. */
  statistics(kept: KeptSwitch, portKeys?: readonly string[]): readonly PortStatistics[] {
    return countedPorts(kept, portKeys).map((port) => {
      const counters = this.carried(port);
      return {
        portKey: port.portKey,
        ...counters,
        // OVN counts no drops by port: what came in is told as forwarded.
        framesForwarded: counters.framesIn,
        framesHeld: "0",
        dropsIn: {},
        dropsOut: {},
      };
    });
  }

  /** What a port has counted until now. */
  carried(port: PortRecord): CarriedCounters {
    if (!port.connected) return port.carried;
    const now = this.countedAt(port, port.host);
    return now === undefined ? port.carried : addCounters(port.carried, countersSince(now, port.base ?? noCounters));
  }

  /** What a host has counted for a port; undefined where it has no NIC of it. */
  countedAt(port: PortRecord, host: string): CarriedCounters | undefined {
    return this.#nic(host, logicalPort(this.#options.config.name, port))?.counters;
  }

  #nic(host: string, port: string): InterfaceView | undefined {
    return this.#hosts.get(host)?.view(port);
  }

  /** What the bridge of a host must hold now. */
  #cookiesOf(host: string): readonly bigint[] {
    const { config, connections, switches } = this.#options;
    const { binding, logicalFlows } = connections;
    const on = this.chassisOf(host);
    const found: bigint[] = [];
    for (const { record, ports } of switches().values()) {
      if (!record.spec.members.some((member) => member.host === host)) continue;
      for (const port of ports.values()) {
        if (!port.connected || port.host !== host) continue;
        const of = { spec: record.spec, provider: config.name, on, binding, logicalFlows };
        for (const { cookie } of flowsOfPort(port, of)) found.push(cookie);
      }
    }
    return found;
  }
}

/** The name that OVN has for a host. */
export function chassisName(
  { hosts }: { readonly hosts: Readonly<Record<string, OvnHostConfig>> },
  host: string,
): string {
  return hosts[host]?.chassis ?? host;
}

/** Where Open vSwitch opens the management socket of a bridge: beside its database. */
function managementSocket(remotes: string | undefined, bridge = "br-int"): string | undefined {
  const socket = remotes?.split(",").find((each) => each.trim().startsWith("unix:"));
  return socket?.trim().replace(/\/[^/]*$/, `/${bridge}.mgmt`);
}
