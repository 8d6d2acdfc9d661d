import { isDeepStrictEqual } from "node:util";
import {
  type Clock,
  type DescribeInput,
  type Description,
  type Generation,
  type Logger,
  type OperationContext,
  type Page,
  type PageRequest,
  pageByKey,
  silentLogger,
  systemClock,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import {
  ConfigArchiveControl,
  type ConnectPort,
  type DistributedSwitch,
  type NetworkFacets,
  type PortBinding,
  type PortStatistics,
  refusedSpec,
  type SpecProblem,
  type SwitchSpec,
  type SwitchStatus,
} from "@vdc-os/core/network/v1";
import type { TlsSettings } from "@vdc-os/ovsdb";
import type { OvnConfig } from "../ovn-config.ts";
import { ChangeSignal } from "./change-signal.ts";
import { ChassisInterfaces, type InterfaceView } from "./chassis-interfaces.ts";
import { describeOvn } from "./describe-ovn.ts";
import { effectiveSettingFacet, loadBalancingFacet } from "./facets.ts";
import { logicalPort, shortHash } from "./names.ts";
import { type KeptSwitch, NorthboundState, type SwitchChange } from "./northbound-state.ts";
import { connectOvn, type OvnConnections } from "./ovn-connections.ts";
import { statusOf } from "./ovn-view.ts";
import { connected, cut } from "./port-decisions.ts";
import { portMigrationFacet } from "./port-migration.ts";
import { addCounters, countersSince, noCounters, type PortRecord, type SwitchRecord } from "./records.ts";
import { validateSetting, validateSwitch } from "./validate-switch.ts";

/** Options of {@link OvnSwitch.open}. */
export interface OvnSwitchOptions {
  readonly config: OvnConfig;
  readonly tls?: TlsSettings;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/**
 * OVN as a distributed switch. Each VLAN of a switch is a logical switch of OVN, each VM's NIC a logical port, each VLAN of a trunk a child of one.
 *
 * All that is kept lies in the northbound database, in the rows that it is realised by: there is no other state, and a manager that starts anew finds
 * everything there. One manager at a time holds the provider's lock.
 */
export class OvnSwitch implements DistributedSwitch {
  readonly facets: NetworkFacets;
  readonly #config: OvnConfig;
  readonly #connections: OvnConnections;
  readonly #state: NorthboundState;
  readonly #archive: ConfigArchiveControl<SwitchRecord>;
  readonly #changes = new ChangeSignal();
  /** By which number each switch as it is now is acknowledged. */
  readonly #sequences = new Map<string, number>();
  readonly #realized = new Map<string, number>();
  readonly #hosts = new Map<string, ReturnType<typeof ChassisInterfaces.open>>();
  readonly #closing = new AbortController();

  private constructor(options: OvnSwitchOptions, connections: OvnConnections) {
    const { config, clock = systemClock, logger = silentLogger } = options;
    this.#config = config;
    this.#connections = connections;
    this.#state = new NorthboundState({
      client: connections.northbound,
      tables: connections.tables,
      provider: config.name,
      lock: lockName(config.name),
      chassisOf: (host) => this.#chassisOf(host),
    });
    this.#archive = new ConfigArchiveControl<SwitchRecord>(
      {
        all: () => [...this.#state.switches.values()].map(({ record }) => record),
        find: (switchId) => this.#state.switches.get(switchId)?.record,
        create: (spec, generation) => ({ spec, generation }),
        change: (decide) =>
          this.#change(() => {
            const { record, result } = decide();
            return { changes: record === undefined ? [] : [{ switchId: record.spec.switchId, record }], result };
          }),
        validate: (spec) => validateSwitch(spec, config),
      },
      clock,
    );
    for (const [host, { openVswitch }] of Object.entries(config.hosts)) {
      if (openVswitch === undefined) continue;
      const onChange = (): void => this.#notify();
      const { signal } = this.#closing;
      const tls = options.tls === undefined ? {} : { tls: options.tls };
      this.#hosts.set(host, ChassisInterfaces.open({ remotes: openVswitch, logger, onChange, signal, ...tls }));
    }
    const find = (switchId: string): KeptSwitch => this.#find(switchId);
    const setting = effectiveSettingFacet(find);
    this.facets = {
      securityPolicy: setting,
      accessControl: setting,
      shaping: setting,
      multicastSnooping: setting,
      dhcp: setting,
      loadBalancing: loadBalancingFacet(find),
      configArchive: this.#archive.facet,
      migration: portMigrationFacet({
        switches: () => this.#state.switches,
        find,
        isMemberUp: (host) => connections.chassis(this.#chassisOf(host)) !== undefined,
        change: async (decide) => {
          const record = await this.#change(() => {
            const { port, result } = decide();
            return { changes: port === undefined ? [] : [{ switchId: port.switchId, ports: [port] }], result };
          });
          return record;
        },
        settled: (switchId, hosts) => this.#settled(switchId, hosts),
        bindingOf: (port) => this.#bindingOf(port),
        carriedAt: (port) => this.#carried(port),
        countedAt: (port, host) => this.#nic(host, logicalPort(config.name, port))?.counters ?? noCounters,
        statistics: async (switchId, portKey) => this.#statistics(switchId, [portKey])[0],
      }),
    };
  }

  /** Connects to OVN's databases, and takes the provider's switches over. */
  static async open(options: OvnSwitchOptions): Promise<OvnSwitch> {
    const connections = await connectOvn(options.config, lockName(options.config.name), options.tls);
    try {
      const opened = new OvnSwitch(options, connections);
      connections.onChange(() => opened.#notify());
      const sequence = await opened.#state.askAll();
      for (const switchId of opened.#state.switches.keys()) opened.#sequences.set(switchId, sequence);
      opened.#archive.onChange();
      return opened;
    } catch (error) {
      await connections.close();
      throw error;
    }
  }

  /** Leaves OVN as it is. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#archive.close();
    this.#notify();
    await Promise.all([...this.#hosts.values()].map((host) => host.close()));
    await this.#connections.close();
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    return describeOvn(this.#config);
  }

  async validateSwitch({ spec }: { readonly spec: SwitchSpec }): Promise<readonly SpecProblem[]> {
    return validateSwitch(spec, this.#config);
  }

  async applySwitch({ spec, generation }: { readonly spec: SwitchSpec; readonly generation: number }): Promise<{
    readonly generation: number;
  }> {
    return this.#archive.apply(spec, generation);
  }

  async removeSwitch({ switchId }: { readonly switchId: string }): Promise<void> {
    await this.#change(() => {
      const kept = this.#state.switches.get(switchId);
      if (kept === undefined) return { changes: [], result: undefined };
      const ports = [...kept.ports.values()].filter((port) => port.connected);
      if (ports.length > 0) {
        throw new VdcError("FAILED_PRECONDITION", `switch '${switchId}' has ${ports.length} connected ports`, {
          reason: "VDC_PORTS_CONNECTED",
          blockers: ports.slice(0, 20).map(({ portKey }) => ({ kind: "port", name: portKey })),
        });
      }
      return { changes: [{ switchId, record: undefined }], result: undefined };
    });
    this.#sequences.delete(switchId);
  }

  async listSwitches(input: PageRequest & { readonly ownerDatacenter?: string }): Promise<Page<SwitchSpec>> {
    const { ownerDatacenter } = input;
    const specs = [...this.#state.switches.values()].map(({ record }) => record.spec);
    const found = specs.filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ switchId }) => switchId, input);
  }

  async connectPort(input: ConnectPort): Promise<PortBinding> {
    const { switchId, portKey, host } = input;
    if (input.setting !== undefined) {
      const problems = validateSetting(input.setting, "setting");
      if (problems.length > 0) throw refusedSpec(`port '${portKey}'`, problems);
    }
    if (input.gate === "hold") {
      throw new VdcError("FAILED_PRECONDITION", "OVN can't hold frames back: connect the port with 'open' or 'drop'", {
        reason: "VDC_FACET_UNAVAILABLE",
      });
    }
    const kept = this.#find(switchId);
    const before = kept.ports.get(portKey);
    connected(kept, input);
    if (this.#connections.chassis(this.#chassisOf(host)) === undefined) throw this.#absent(host);
    const carried = before === undefined ? undefined : this.#carried(before);
    const port = await this.#change(() => {
      const now = this.#find(switchId);
      const next = connected(now, input);
      if (next === undefined) return { changes: [], result: now.ports.get(portKey) as PortRecord };
      const isNew = next.attachment !== before?.attachment;
      const record = carried === undefined || !isNew ? next : { ...next, carried };
      return { changes: [{ switchId, ports: [record] }], result: record };
    });
    // Whoever had the port before is cut off when both hosts have it.
    await this.#settled(switchId, [host, ...(before?.connected === true ? [before.host] : [])]);
    return this.#bindingOf(port);
  }

  async disconnectPort(input: {
    readonly switchId: string;
    readonly portKey: string;
    readonly generation: Generation;
  }): Promise<void> {
    const port = this.#state.switches.get(input.switchId)?.ports.get(input.portKey);
    if (port?.connected !== true || port.generation !== input.generation) return;
    await this.#cut(input.switchId, [input.portKey], { upTo: input.generation, lowest: 0 });
    await this.#settled(input.switchId, [port.host]).catch(() => undefined);
  }

  async revokePort(input: {
    readonly switchId: string;
    readonly portKey: string;
    readonly generation: Generation;
  }): Promise<void> {
    const { switchId, portKey, generation } = input;
    const port = this.#find(switchId).ports.get(portKey);
    if (port === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
    await this.#cut(switchId, [portKey], { upTo: generation, lowest: generation + 1 });
    if (port.connected && port.generation <= generation) await this.#settled(switchId, [port.host]);
  }

  async switchStatus({ switchId }: { readonly switchId: string }): Promise<SwitchStatus> {
    return this.#status(this.#find(switchId));
  }

  async *watchSwitch(
    { switchId }: { readonly switchId: string },
    { signal }: OperationContext,
  ): AsyncIterable<WatchItem<SwitchStatus>> {
    let told: SwitchStatus | undefined = this.#status(this.#find(switchId));
    let last = told;
    yield { type: "added", object: told };
    for (;;) {
      const changed = this.#changes.next(signal);
      const kept = this.#state.switches.get(switchId);
      const now = kept === undefined ? undefined : this.#status(kept);
      if (!isDeepStrictEqual(now, told)) {
        const type = now === undefined ? "deleted" : told === undefined ? "added" : "modified";
        told = now;
        last = now ?? last;
        yield { type, object: last };
        continue;
      }
      if (signal.aborted || this.#closing.signal.aborted) return;
      await changed;
      if (signal.aborted || this.#closing.signal.aborted) return;
    }
  }

  async portStatistics(input: {
    readonly switchId: string;
    readonly portKeys?: readonly string[];
  }): Promise<readonly PortStatistics[]> {
    return this.#statistics(input.switchId, input.portKeys);
  }

  async collectGarbage(input: {
    readonly switchId: string;
    readonly known: readonly string[];
  }): Promise<readonly string[]> {
    const { switchId, known } = input;
    const gone = [...this.#find(switchId).ports.values()].filter(
      ({ portKey, connected: isConnected }) => isConnected && !known.includes(portKey),
    );
    const portKeys = gone.map(({ portKey }) => portKey);
    await this.#cut(switchId, portKeys, { upTo: Number.POSITIVE_INFINITY, lowest: 0 });
    return portKeys.sort();
  }

  async #cut(
    switchId: string,
    portKeys: readonly string[],
    { upTo, lowest }: { readonly upTo: number; readonly lowest: number },
  ): Promise<void> {
    await this.#change(() => {
      const { ports } = this.#find(switchId);
      const changed = portKeys.flatMap((portKey) => {
        const port = ports.get(portKey);
        return port === undefined ? [] : (cut(port, upTo, lowest) ?? []);
      });
      return { changes: changed.length === 0 ? [] : [{ switchId, ports: changed }], result: undefined };
    });
  }

  async #change<T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }): Promise<T> {
    let concerned: readonly string[] = [];
    const { result, sequence } = await this.#state.change(() => {
      const decided = decide();
      concerned = decided.changes.map(({ switchId }) => switchId);
      for (const switchId of concerned) this.#remember(switchId);
      return decided;
    });
    if (sequence !== undefined) for (const switchId of concerned) this.#sequences.set(switchId, sequence);
    this.#archive.onChange();
    this.#notify();
    return result;
  }

  /** Writes down what each host has realised before the switch changes. */
  #remember(switchId: string): void {
    const kept = this.#state.switches.get(switchId);
    if (kept === undefined) return;
    for (const { host, realizedGeneration } of this.#status(kept).members) {
      this.#realized.set(`${switchId} ${host}`, realizedGeneration);
    }
  }

  /** Resolves when these hosts have acknowledged the switch as it is now. */
  async #settled(switchId: string, hosts: readonly string[]): Promise<void> {
    const sequence = this.#sequences.get(switchId) ?? 0;
    const { requestTimeoutMs = 5_000 } = this.#config;
    const late = (): string | undefined =>
      hosts.find((host) => {
        const view = this.#connections.chassis(this.#chassisOf(host));
        return view === undefined || view.acknowledged < sequence;
      });
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(requestTimeoutMs)]);
    for (let host = late(); host !== undefined; host = late()) {
      if (signal.aborted) throw this.#absent(host);
      await this.#changes.next(signal);
    }
  }

  #statistics(switchId: string, portKeys?: readonly string[]): readonly PortStatistics[] {
    const { record, ports } = this.#find(switchId);
    return [...ports.values()]
      .filter(({ portKey }) => portKeys?.includes(portKey) ?? true)
      .filter(
        (port) =>
          port.connected || record.spec.portGroups.find(({ key }) => key === port.portGroup)?.binding === "static",
      )
      .map((port) => {
        const counters = port.connected ? this.#carried(port) : port.carried;
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
  #carried(port: PortRecord): PortRecord["carried"] {
    if (!port.connected) return port.carried;
    const nic = this.#nic(port.host, logicalPort(this.#config.name, port));
    return nic === undefined
      ? port.carried
      : addCounters(port.carried, countersSince(nic.counters, port.base ?? noCounters));
  }

  #nic(host: string, port: string): InterfaceView | undefined {
    return this.#hosts.get(host)?.view(port);
  }

  #status(kept: KeptSwitch): SwitchStatus {
    const { switchId } = kept.record.spec;
    return statusOf({
      provider: this.#config.name,
      kept,
      sequence: this.#sequences.get(switchId) ?? Number.POSITIVE_INFINITY,
      realizedBefore: (host) => this.#realized.get(`${switchId} ${host}`) ?? 0,
      chassisOf: (host) => this.#chassisOf(host),
      chassis: this.#connections.chassis,
      binding: this.#connections.binding,
      nic: (host, port) => this.#nic(host, port),
    });
  }

  #bindingOf(port: PortRecord): PortBinding {
    const { switchId, portKey, host, generation } = port;
    const interfaceId = logicalPort(this.#config.name, port);
    const { bridge = "br-int" } = this.#config;
    return {
      switchId,
      portKey,
      host,
      generation,
      attachment: { kind: "ovs", bridge, interfaceId },
      fencing: "enforced",
    };
  }

  #find(switchId: string): KeptSwitch {
    const kept = this.#state.switches.get(switchId);
    if (kept === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
    return kept;
  }

  #chassisOf(host: string): string {
    return this.#config.hosts[host]?.chassis ?? host;
  }

  #absent(host: string): VdcError {
    return new VdcError("UNAVAILABLE", `chassis '${this.#chassisOf(host)}' of host '${host}' does not answer`, {
      reason: "VDC_HOST_UNAVAILABLE",
    });
  }

  #notify(): void {
    this.#changes.tell();
  }
}

function lockName(provider: string): string {
  return `vdc_${shortHash(provider)}`;
}
