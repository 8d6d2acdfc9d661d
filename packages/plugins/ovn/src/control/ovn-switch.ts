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
import type { OvnConfig } from "../ovn-config.ts";
import { describeOvn } from "./describe-ovn.ts";
import { effectiveSettingFacet, loadBalancingFacet } from "./facets.ts";
import { shortHash } from "./names.ts";
import { NorthboundState, type SwitchChange } from "./northbound-state.ts";
import { connectOvn, type OvnConnections } from "./ovn-connections.ts";
import { portKeeper } from "./port-keeper.ts";
import { chassisName, Realization } from "./realization.ts";
import type { KeptSwitch, PortRecord, SwitchRecord } from "./records.ts";
import { validateSwitch } from "./validate-switch.ts";

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
  readonly #realization: Realization;
  readonly #owners: PortOwners<PortRecord>;

  private constructor(options: OvnSwitchOptions, connections: OvnConnections) {
    const { config, clock = systemClock, logger = silentLogger } = options;
    this.#config = config;
    this.#connections = connections;
    this.#state = new NorthboundState({
      client: connections.northbound,
      tables: connections.tables,
      provider: config.name,
      lock: lockName(config.name),
      chassisOf: (host) => chassisName(config, host),
    });
    const realization = new Realization({
      config,
      connections,
      switches: () => this.#state.switches,
      tls: options.tls,
      clock,
      logger,
    });
    this.#realization = realization;
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
    const find = (switchId: string): KeptSwitch => this.#find(switchId);
    const keeper = portKeeper({
      provider: config.name,
      bridge: config.bridge ?? "br-int",
      switches: () => this.#state.switches,
      change: (decide) => this.#change(decide),
      realization,
    });
    this.#owners = new PortOwners(keeper);
    const setting = effectiveSettingFacet(find);
    this.facets = {
      securityPolicy: setting,
      accessControl: setting,
      shaping: setting,
      multicastSnooping: setting,
      dhcp: setting,
      loadBalancing: loadBalancingFacet(find),
      configArchive: this.#archive.facet,
      migration: portMigrationFacet(keeper),
    };
  }

  /** Connects to OVN's databases, and takes the provider's switches over. */
  static async open(options: OvnSwitchOptions): Promise<OvnSwitch> {
    const connections = await connectOvn(options.config, lockName(options.config.name), options.tls);
    try {
      const opened = new OvnSwitch(options, connections);
      const sequence = await opened.#state.askAll();
      for (const switchId of opened.#state.switches.keys()) opened.#realization.asked(switchId, sequence);
      opened.#archive.onChange();
      opened.#realization.tell();
      return opened;
    } catch (error) {
      await connections.close();
      throw error;
    }
  }

  /** Leaves OVN as it is. */
  async close(): Promise<void> {
    this.#archive.close();
    await this.#realization.close();
    await this.#connections.close();
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    return describeOvn(this.#config);
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
    this.#realization.forget(switchId);
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
    return this.#realization.status(this.#find(switchId));
  }

  watchSwitch(
    { switchId }: { readonly switchId: string },
    { signal }: OperationContext,
  ): AsyncIterable<WatchItem<SwitchStatus>> {
    const realization = this.#realization;
    return watchStatus({
      first: () => realization.status(this.#find(switchId)),
      now: () => {
        const kept = this.#state.switches.get(switchId);
        return kept === undefined ? undefined : realization.status(kept);
      },
      changes: realization.changes,
      signal,
      isClosed: () => realization.isClosed,
    });
  }

  async portStatistics(input: {
    readonly switchId: string;
    readonly portKeys?: readonly string[];
  }): Promise<readonly PortStatistics[]> {
    return this.#realization.statistics(this.#find(input.switchId), input.portKeys);
  }

  async collectGarbage(
    input: { readonly switchId: string; readonly known: readonly string[] },
    context: OperationContext,
  ): Promise<readonly string[]> {
    refuseWhenOver(context);
    return this.#owners.collectGarbage(input.switchId, input.known);
  }

  async #change<T>(decide: () => { readonly changes: readonly SwitchChange[]; readonly result: T }): Promise<T> {
    let concerned: readonly string[] = [];
    const { result, sequence } = await this.#state.change(() => {
      const decided = decide();
      concerned = decided.changes.map(({ switchId }) => switchId);
      for (const switchId of concerned) {
        const kept = this.#state.switches.get(switchId);
        if (kept !== undefined) this.#realization.status(kept);
      }
      return decided;
    });
    if (sequence !== undefined) for (const switchId of concerned) this.#realization.asked(switchId, sequence);
    this.#archive.onChange();
    this.#realization.tell();
    return result;
  }

  #find(switchId: string): KeptSwitch {
    return keptSwitch(this.#state.switches, switchId);
  }
}

function lockName(provider: string): string {
  return `vdc_${shortHash(provider)}`;
}
