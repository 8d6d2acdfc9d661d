import {
  type Clock,
  type DescribeInput,
  type Description,
  type Logger,
  type OperationContext,
  type Page,
  type PageRequest,
  pageByKey,
  refuseWhenOver,
  silentLogger,
  systemClock,
  type WatchItem,
} from "@vdc-os/core";
import {
  ConfigArchiveControl,
  type ConnectPort,
  countedPorts,
  type DistributedSwitch,
  keptSwitch,
  mustHaveNoOwners,
  type NetworkFacets,
  type OwnedPort,
  type PortBinding,
  portMigrationFacet,
  PortOwners,
  type PortStatistics,
  type SpecProblem,
  type SwitchSpec,
  type SwitchStatus,
  watchStatus,
} from "@vdc-os/core/network/v1";
import type { TlsSettings } from "@vdc-os/ovsdb";
import type { OpenVswitchConfig } from "../openvswitch-config.ts";
import { describeOpenVswitch } from "./describe-openvswitch.ts";
import { captureFacet } from "./capture.ts";
import { DesiredState, type DesiredStateStore, type SwitchChange } from "./desired-state.ts";
import { effectiveSettingFacet } from "./effective-setting.ts";
import { explainFacet } from "./explain.ts";
import { healthCheckFacet } from "./health-check.ts";
import { HostLink } from "./host-link.ts";
import { PortCounting } from "./port-counting.ts";
import { portKeeper } from "./port-keeper.ts";
import { freeNumber, type KeptSwitch, type PortRecord, type SwitchRecord } from "./records.ts";
import { Settling } from "./settling.ts";
import { ShownFrames } from "./shown-frames.ts";
import { statusOf } from "./switch-status.ts";
import { validateSwitch } from "./validate-switch.ts";

/** Options of {@link OpenVswitchSwitch.open}. */
export interface OpenVswitchSwitchOptions {
  readonly config: OpenVswitchConfig;
  readonly store: DesiredStateStore;
  /** Ends its calls to the state store. */
  readonly signal: AbortSignal;
  readonly tls?: TlsSettings;
  readonly clock?: Clock;
  readonly logger?: Logger;
}

/**
 * Open vSwitch as a distributed switch: a bridge for each switch on each member, joined by VXLAN, with flows that say exactly what passes.
 *
 * What is desired lies in the state store, and each host is made so by its own loop. Whoever opened the switch last is in charge: an earlier manager can
 * change neither the state, nor a host's database, nor a bridge's flows.
 */
export class OpenVswitchSwitch implements DistributedSwitch {
  readonly facets: NetworkFacets;
  readonly #config: OpenVswitchConfig;
  readonly #state: DesiredState;
  readonly #archive: ConfigArchiveControl<SwitchRecord>;
  readonly #hosts = new Map<string, HostLink>();
  readonly #shown = new ShownFrames(() => {
    for (const host of this.#hosts.values()) host.kick();
  });
  readonly #counting = new PortCounting(this.#hosts);
  readonly #settling: Settling;
  readonly #owners: PortOwners<PortRecord>;
  readonly #closing = new AbortController();

  private constructor(options: OpenVswitchSwitchOptions, state: DesiredState) {
    const { config, tls, clock = systemClock, logger = silentLogger } = options;
    this.#config = config;
    this.#state = state;
    this.#settling = new Settling({
      hosts: this.#hosts,
      timeoutMs: config.requestTimeoutMs ?? 5_000,
      closing: this.#closing.signal,
    });
    this.#archive = new ConfigArchiveControl<SwitchRecord>(
      {
        all: () => [...state.switches.values()].map(({ record }) => record),
        find: (switchId) => state.switches.get(switchId)?.record,
        create: (spec, generation) => {
          const number = freeNumber([...state.switches.values()].map(({ record }) => record));
          return { spec, generation, number };
        },
        change: (decide) =>
          this.#change(() => {
            const { record, result } = decide();
            return { changes: record === undefined ? [] : [{ switchId: record.spec.switchId, record }], result };
          }),
        validate: (spec) => validateSwitch(spec, config),
      },
      clock,
    );
    for (const host of Object.keys(config.hosts)) {
      const link = new HostLink({
        host,
        config,
        generation: state.takeover,
        clock,
        logger,
        switches: () => state.switches,
        shown: this.#shown,
        onChange: () => this.#settling.changes.tell(),
        ...(tls === undefined ? {} : { tls }),
      });
      this.#hosts.set(host, link);
    }
    const find = (switchId: string): KeptSwitch => this.#find(switchId);
    const keeper = portKeeper({
      provider: config.name,
      switches: () => state.switches,
      change: (decide) => this.#change(decide),
      counting: this.#counting,
      settling: this.#settling,
      statistics: async (switchId, portKey) => (await this.portStatistics({ switchId, portKeys: [portKey] }))[0],
    });
    this.#owners = new PortOwners(keeper);
    const setting = effectiveSettingFacet(find);
    this.facets = {
      pvlan: setting,
      securityPolicy: setting,
      accessControl: setting,
      shaping: setting,
      mirroring: setting,
      flowExport: setting,
      configArchive: this.#archive.facet,
      explain: explainFacet(find, this.#hosts),
      capture: captureFacet({
        find: (switchId) => state.switches.get(switchId),
        shown: this.#shown,
        clock,
        closing: this.#closing.signal,
        watch: (listener) => this.#settling.changes.watch(listener),
      }),
      healthCheck: healthCheckFacet({ find, hosts: this.#hosts, shown: this.#shown, clock }),
      migration: portMigrationFacet(keeper),
    };
    this.#archive.onChange();
  }

  /** Reads what is kept, takes over, and begins to make each host so. */
  static async open(options: OpenVswitchSwitchOptions): Promise<OpenVswitchSwitch> {
    const { config, store, signal } = options;
    let opened: OpenVswitchSwitch | undefined;
    const state = await DesiredState.load({
      store,
      prefix: `network/${config.name}/`,
      onChange: () => {
        if (opened !== undefined) opened.#changed();
      },
      signal,
    });
    opened = new OpenVswitchSwitch(options, state);
    return opened;
  }

  /** Leaves the hosts as they are. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#archive.close();
    this.#settling.changes.tell();
    await Promise.all([...this.#hosts.values()].map((host) => host.close()));
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    return describeOpenVswitch(this.#config);
  }

  async validateSwitch({ spec }: { readonly spec: SwitchSpec }): Promise<readonly SpecProblem[]> {
    return validateSwitch(spec, this.#config);
  }

  async applySwitch(
    { spec, generation }: { readonly spec: SwitchSpec; readonly generation: number },
    context: OperationContext,
  ): Promise<{ readonly generation: number }> {
    refuseWhenOver(context);
    return this.#archive.apply(spec, generation);
  }

  async removeSwitch({ switchId }: { readonly switchId: string }, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    await this.#change(() => {
      const kept = this.#state.switches.get(switchId);
      if (kept === undefined) return { changes: [], result: undefined };
      mustHaveNoOwners(switchId, kept.ports.values());
      return { changes: [{ switchId, record: undefined }], result: undefined };
    });
    this.#counting.forget(switchId);
  }

  async listSwitches(input: PageRequest & { readonly ownerDatacenter?: string }): Promise<Page<SwitchSpec>> {
    const { ownerDatacenter } = input;
    const specs = [...this.#state.switches.values()].map(({ record }) => record.spec);
    const found = specs.filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ switchId }) => switchId, input);
  }

  async connectPort(input: ConnectPort, context: OperationContext): Promise<PortBinding> {
    refuseWhenOver(context);
    return this.#owners.connect(input);
  }

  async disconnectPort(input: OwnedPort, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    await this.#owners.disconnect(input);
  }

  async revokePort(input: OwnedPort, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    await this.#owners.revoke(input);
  }

  async switchStatus({ switchId }: { readonly switchId: string }): Promise<SwitchStatus> {
    return statusOf(this.#find(switchId), this.#hosts);
  }

  watchSwitch(
    { switchId }: { readonly switchId: string },
    { signal }: OperationContext,
  ): AsyncIterable<WatchItem<SwitchStatus>> {
    return watchStatus({
      first: () => statusOf(this.#find(switchId), this.#hosts),
      now: () => {
        const kept = this.#state.switches.get(switchId);
        return kept === undefined ? undefined : statusOf(kept, this.#hosts);
      },
      changes: this.#settling.changes,
      signal,
      isClosed: () => this.#closing.signal.aborted,
    });
  }

  async portStatistics(input: {
    readonly switchId: string;
    readonly portKeys?: readonly string[];
  }): Promise<readonly PortStatistics[]> {
    const kept = this.#find(input.switchId);
    return this.#counting.statistics(kept, countedPorts(kept, input.portKeys));
  }

  async collectGarbage(
    input: { readonly switchId: string; readonly known: readonly string[] },
    context: OperationContext,
  ): Promise<readonly string[]> {
    refuseWhenOver(context);
    return this.#owners.collectGarbage(input.switchId, input.known);
  }

  #change<T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }): Promise<T> {
    return this.#state.change(decide);
  }

  #changed(): void {
    this.#archive.onChange();
    for (const host of this.#hosts.values()) host.kick();
    this.#settling.changes.tell();
  }

  #find(switchId: string): KeptSwitch {
    return keptSwitch(this.#state.switches, switchId);
  }
}
