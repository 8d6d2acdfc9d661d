import {
  type DescribeInput,
  type Description,
  type Generation,
  type OperationContext,
  type Page,
  type PageRequest,
  pageByKey,
  refuseWhenOver,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import {
  ChangeSignal,
  ConfigArchiveControl,
  type ConnectPort,
  type DistributedSwitch,
  mustHaveNoOwners,
  type NetworkFacets,
  type PortBinding,
  type PortStatistics,
  type SpecProblem,
  type SwitchSpec,
  type SwitchStatus,
  watchStatus,
} from "@vdc-os/core/network/v1";
import { describeSwitch } from "./describe-switch.ts";
import { MAX_VNI_BASE, VNIS_PER_SWITCH } from "../dataplane/segment.ts";
import { captureFacet, discoveryFacet, healthCheckFacet, teamingFacet } from "./diagnosis-facets.ts";
import type { DesiredState, Write } from "./desired-state.ts";
import { explainFacet } from "./explain-facet.ts";
import { effectiveSettingFacet, gateFacet } from "./facets.ts";
import { findPort, findSwitch } from "./find-switch.ts";
import { HostMember, type HostMemberOptions } from "./host-member.ts";
import { unknownMember } from "./member-state.ts";
import { type NicKind, NicPlaces } from "./nic-place.ts";
import { PortControl } from "./port-control.ts";
import { PortCounterReader } from "./port-counter-reader.ts";
import { PortMigrationControl } from "./port-migration.ts";
import { PortStateTransfer } from "./port-state-transfer.ts";
import type { PortRecord, SwitchRecord } from "./records.ts";
import { statusOf } from "./switch-status.ts";
import { validateSwitch } from "./validate-switch.ts";

/** Options of {@link SwitchControl}. */
export interface SwitchControlOptions extends Omit<HostMemberOptions, "onView"> {
  /** What new NICs are joined by. */
  readonly nics: NicKind;
}

/**
 * The control side of the switch: takes over what is desired, durably, and then has each host's `HostMember` make it so.
 *
 * An operation that is acknowledged is in the state store; whether it is in force is told by `switchStatus`. `connectPort` and
 * `revokePort` wait for the hosts that they concern.
 */
export class SwitchControl implements DistributedSwitch {
  readonly facets: NetworkFacets;
  readonly #state: DesiredState;
  readonly #options: HostMemberOptions;
  readonly #ports: PortControl;
  readonly #statistics: PortCounterReader;
  readonly #members = new Map<string, HostMember>();
  readonly #archive: ConfigArchiveControl<SwitchRecord>;
  readonly #changes = new ChangeSignal();
  #closed = false;

  constructor(options: SwitchControlOptions) {
    this.#options = { ...options, onView: () => this.#changes.tell() };
    this.#state = options.state;
    const member = (host: string): HostMember => this.#member(host);
    const places = new NicPlaces({ state: options.state, kind: options.nics });
    this.#ports = new PortControl({ state: options.state, member, places });
    this.#statistics = new PortCounterReader({ state: options.state, member });
    const find = (switchId: string, portKey: string): PortRecord => findPort(options.state, switchId, portKey);
    const port = { find, member, state: options.state };
    const { state } = options;
    this.#archive = new ConfigArchiveControl<SwitchRecord>(
      {
        all: () => state.switches.values(),
        find: (switchId) => state.switches.get(switchId),
        create: (spec, generation) => ({ spec, generation, vniBase: this.#freeVniBase() }),
        change: (decide) =>
          state.change(() => {
            const { record, result } = decide();
            const id = record?.spec.switchId ?? "";
            return { writes: record === undefined ? [] : [{ kind: "switch", id, value: record }], result };
          }),
        validate: (spec) => validateSwitch(spec, options),
      },
      options.clock,
    );
    const transfer = new PortStateTransfer({
      state: options.state,
      member,
      statistics: async (switchId, portKey) => (await this.#statistics.read({ switchId, portKeys: [portKey] }))[0],
    });
    const migration = new PortMigrationControl({ state: options.state, member, ports: this.#ports, places, transfer });
    const setting = effectiveSettingFacet(port);
    this.facets = {
      gate: gateFacet(port),
      migration: migration.facet,
      securityPolicy: setting,
      pvlan: setting,
      macLearning: setting,
      accessControl: setting,
      shaping: setting,
      mirroring: setting,
      flowExport: setting,
      multicastSnooping: setting,
      teaming: teamingFacet(port, setting),
      discovery: discoveryFacet(port),
      healthCheck: healthCheckFacet(port),
      capture: captureFacet(port),
      explain: explainFacet(port),
      configArchive: this.#archive.facet,
    };
  }

  /** Begins to look after the hosts. */
  start(): void {
    this.onChange();
  }

  /** For the desired state: something in it changed. */
  onChange(): void {
    if (this.#closed) return;
    this.#archive.onChange();
    const wanted = new Set(this.#state.hosts.keys());
    for (const { spec } of this.#state.switches.values()) for (const { host } of spec.members) wanted.add(host);
    for (const host of wanted) this.#member(host);
    for (const [host, member] of this.#members) {
      member.wake();
      if (wanted.has(host)) continue;
      this.#members.delete(host);
      void member.close();
    }
    this.#changes.tell();
  }

  /** Stops looking after the hosts. Their processes go on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#archive.close();
    this.#changes.tell();
    await Promise.all([...this.#members.values()].map((member) => member.close()));
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    return describeSwitch({ underlayMtu: this.#options.underlayMtu });
  }

  async validateSwitch(
    { spec }: { readonly spec: SwitchSpec },
    _context: OperationContext,
  ): Promise<readonly SpecProblem[]> {
    return validateSwitch(spec, this.#options);
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
    await this.#state.change(() => {
      if (!this.#state.switches.has(switchId)) return { writes: [], result: undefined };
      const ports = this.#state.portsOf(switchId);
      mustHaveNoOwners(switchId, ports);
      // The switch last: while it is there, the rest is found again.
      const writes: Write[] = ports.map(({ portKey }) => ({ kind: "port", switchId, portKey, value: undefined }));
      return { writes: [...writes, { kind: "switch", id: switchId, value: undefined }], result: undefined };
    });
  }

  async listSwitches(
    input: PageRequest & { readonly ownerDatacenter?: string },
    _context: OperationContext,
  ): Promise<Page<SwitchSpec>> {
    const { ownerDatacenter } = input;
    const specs = [...this.#state.switches.values()].map(({ spec }) => spec);
    const found = specs.filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ switchId }) => switchId, input);
  }

  async connectPort(input: ConnectPort, context: OperationContext): Promise<PortBinding> {
    refuseWhenOver(context);
    return this.#ports.connect(input);
  }

  async disconnectPort(
    port: { switchId: string; portKey: string; generation: Generation },
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    await this.#ports.disconnect(port);
  }

  async revokePort(
    port: { switchId: string; portKey: string; generation: Generation },
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    await this.#ports.revoke(port);
  }

  async switchStatus({ switchId }: { readonly switchId: string }, _context: OperationContext): Promise<SwitchStatus> {
    return this.#status(switchId);
  }

  watchSwitch(
    { switchId }: { readonly switchId: string },
    { signal }: OperationContext,
  ): AsyncIterable<WatchItem<SwitchStatus>> {
    return watchStatus({
      first: () => this.#status(switchId),
      now: () => (this.#state.switches.has(switchId) ? this.#status(switchId) : undefined),
      changes: this.#changes,
      signal,
      isClosed: () => this.#closed,
    });
  }

  async portStatistics(
    input: { readonly switchId: string; readonly portKeys?: readonly string[] },
    _context: OperationContext,
  ): Promise<readonly PortStatistics[]> {
    return this.#statistics.read(input);
  }

  async collectGarbage(
    input: { readonly switchId: string; readonly known: readonly string[] },
    context: OperationContext,
  ): Promise<readonly string[]> {
    refuseWhenOver(context);
    return this.#ports.collectGarbage(input);
  }

  #status(switchId: string): SwitchStatus {
    return statusOf(
      this.#state,
      findSwitch(this.#state, switchId),
      (host) => this.#members.get(host)?.view ?? unknownMember,
    );
  }

  #member(host: string): HostMember {
    let member = this.#members.get(host);
    if (member === undefined) {
      member = new HostMember(host, this.#options);
      this.#members.set(host, member);
      if (!this.#closed) member.start();
    }
    return member;
  }

  #freeVniBase(): number {
    const taken = new Set([...this.#state.switches.values()].map(({ vniBase }) => vniBase));
    for (let base = VNIS_PER_SWITCH; base <= MAX_VNI_BASE; base += VNIS_PER_SWITCH) if (!taken.has(base)) return base;
    throw new VdcError("RESOURCE_EXHAUSTED", "all tunnel identifiers are taken: remove a switch", { retryable: false });
  }
}
