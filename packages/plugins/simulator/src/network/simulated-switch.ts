import { isDeepStrictEqual } from "node:util";
import {
  type Description,
  type OperationContext,
  type Page,
  type PageRequest,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import {
  addressProblems,
  ConfigArchiveControl,
  type ConnectPort,
  type DistributedSwitch,
  distributedSwitch,
  type NetworkFacets,
  type PortAttachment,
  type PortBinding,
  type PortStatistics,
  type SpecProblem,
  type SpecRecord,
  type SwitchSpec,
  type SwitchStatus,
} from "@vdc-os/core/network/v1";
import { ChangeFeed } from "../world/change-feed.ts";
import { fencedError } from "../world/fenced-error.ts";
import { pageByKey } from "@vdc-os/core";
import { describeSimulated } from "../world/simulated-description.ts";
import type { WorldServices } from "../world/world-services.ts";
import { captureFacet, explainFacet, healthCheckFacet } from "./diagnosis-facets.ts";
import { effectiveSettingFacet, gateFacet } from "./port-facets.ts";
import type { SimulatedNic } from "./simulated-nic.ts";
import { migrationFacet } from "./port-migration.ts";
import { openPort, pathOf } from "./port-nic.ts";
import { PortPlug } from "./port-plug.ts";
import { SwitchFabric } from "./switch-fabric.ts";
import { SwitchPort } from "./switch-port.ts";
import { type IsHostUp, statusOf } from "./switch-status.ts";
import { validateSetting, validateSwitch } from "./validate-switch.ts";

/** Switches in memory: frames go between simulated NICs by the rules of VLANs, security policies and gates, in no time. */
export class SimulatedSwitch implements DistributedSwitch {
  readonly facets: NetworkFacets;
  readonly #name: string;
  readonly #world: WorldServices;
  readonly #isHostUp: IsHostUp;
  readonly #switches: Map<string, SwitchFabric> = new Map();
  readonly #archive: ConfigArchiveControl<SpecRecord>;
  readonly #feed: ChangeFeed<SwitchStatus> = new ChangeFeed();

  constructor(name: string, world: WorldServices, isHostUp: IsHostUp) {
    this.#name = name;
    this.#world = world;
    this.#isHostUp = isHostUp;
    const find = (switchId: string, portKey: string) => this.#port(switchId, portKey);
    const changed = (fabric: SwitchFabric) => this.#changed(fabric);
    const fabric = (switchId: string) => this.#fabric(switchId);
    this.#archive = new ConfigArchiveControl(
      {
        all: () => [...this.#switches.values()].map(({ record }) => record),
        find: (switchId) => this.#switches.get(switchId)?.record,
        create: (spec, generation) => ({ spec, generation }),
        change: async (decide) => {
          const { record, result } = decide();
          if (record !== undefined) this.#keep(record);
          return result;
        },
        validate: validateSwitch,
      },
      world.clock,
    );
    const setting = effectiveSettingFacet(find);
    this.facets = {
      gate: gateFacet(find, changed),
      securityPolicy: setting,
      pvlan: setting,
      macLearning: setting,
      configArchive: this.#archive.facet,
      migration: migrationFacet({
        ...{ find, fabric, changed, isHostUp },
        fabrics: () => this.#switches.values(),
        bindingOf: (request) => this.#bindingOf(request),
        nextTicket: () => world.nextId("move"),
      }),
      healthCheck: healthCheckFacet(fabric, isHostUp),
      capture: captureFacet(find, world.clock),
      explain: explainFacet(find),
    };
  }

  async describe(): Promise<Description> {
    const without = Object.keys(this.facets).filter((facet) => facet !== "gate");
    return describeSimulated(distributedSwitch, {
      available: { ...Object.fromEntries(without.map((facet) => [facet, {}])), gate: { maxHeldFrames: 256 } },
      attributes: {
        fencing: "enforced",
        overheadBytes: 0,
        attachments: ["qemu-stream"],
        transports: ["overlay"],
      },
    });
  }

  async validateSwitch({ spec }: { readonly spec: SwitchSpec }): Promise<readonly SpecProblem[]> {
    return validateSwitch(spec);
  }

  async applySwitch(input: {
    readonly spec: SwitchSpec;
    readonly generation: number;
  }): Promise<{ readonly generation: number }> {
    return this.#archive.apply(input.spec, input.generation);
  }

  async removeSwitch({ switchId }: { readonly switchId: string }): Promise<void> {
    const fabric = this.#switches.get(switchId);
    if (fabric === undefined) return;
    const { connected } = fabric;
    if (connected.length > 0) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        `switch '${fabric.spec.name}' has ${connected.length} connected ports`,
        {
          blockers: connected.map(({ portKey }) => ({ kind: "Port", name: portKey })),
        },
      );
    }
    const last = this.#statusOf(fabric);
    this.#switches.delete(switchId);
    this.#archive.onChange();
    this.#feed.tell("deleted", switchId, last);
  }

  async listSwitches(input: PageRequest & { readonly ownerDatacenter?: string }): Promise<Page<SwitchSpec>> {
    const { ownerDatacenter } = input;
    const specs = [...this.#switches.values()].map(({ spec }) => spec);
    const found = specs.filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ switchId }) => switchId, input);
  }

  async connectPort(input: ConnectPort): Promise<PortBinding> {
    const { switchId, portGroup, portKey, host, generation, setting } = input;
    const fabric = this.#fabric(switchId);
    const { spec } = fabric;
    const group = spec.portGroups.find(({ key }) => key === portGroup);
    if (group === undefined) {
      throw new VdcError("NOT_FOUND", `switch '${spec.name}' has no port group '${portGroup}'`);
    }
    if (!spec.members.some((member) => member.host === host)) {
      throw new VdcError("FAILED_PRECONDITION", `host '${host}' is no member of switch '${spec.name}'`);
    }
    const [problem] = [
      ...addressProblems(input.addresses),
      ...(setting === undefined ? [] : validateSetting(setting, "setting")),
    ];
    if (problem !== undefined) throw new VdcError("INVALID_ARGUMENT", `${problem.path}: ${problem.message}`);
    let port = fabric.ports.get(portKey);
    const others = fabric.connected.filter((each) => each !== port && each.request.portGroup === portGroup);
    if (others.length >= (group.maxPorts ?? Number.POSITIVE_INFINITY)) {
      throw new VdcError(
        "RESOURCE_EXHAUSTED",
        `port group '${portGroup}' may have ${group.maxPorts} ports, and has them`,
        {
          reason: "VDC_PORT_GROUP_FULL",
        },
      );
    }
    if (port !== undefined) {
      if (port.binding !== undefined && port.newest === generation) {
        if (sameConnection(port.request, input)) return port.binding;
        throw new VdcError("ALREADY_EXISTS", `port '${portKey}' is connected otherwise with generation ${generation}`);
      }
      const newest = Math.max(port.newest, port.revoked);
      if (generation <= newest) throw fencedError(`port '${portKey}'`, generation, newest);
      fabric.disconnect(port);
    } else {
      port = new SwitchPort(input);
      fabric.ports.set(portKey, port);
    }
    port.gate = input.gate ?? "open";
    const binding = this.#bindingOf(input);
    port.takeOver(input, binding, new PortPlug());
    this.#changed(fabric);
    return binding;
  }

  async disconnectPort(input: {
    readonly switchId: string;
    readonly portKey: string;
    readonly generation: number;
  }): Promise<void> {
    const fabric = this.#switches.get(input.switchId);
    const port = fabric?.ports.get(input.portKey);
    if (fabric === undefined || port?.binding?.generation !== input.generation) return;
    fabric.disconnect(port);
    this.#changed(fabric);
  }

  async revokePort(input: {
    readonly switchId: string;
    readonly portKey: string;
    readonly generation: number;
  }): Promise<void> {
    const { fabric, port } = this.#port(input.switchId, input.portKey);
    port.revoked = Math.max(port.revoked, input.generation);
    if (port.binding === undefined || port.binding.generation > port.revoked) return;
    fabric.disconnect(port);
    this.#changed(fabric);
  }

  async switchStatus({ switchId }: { readonly switchId: string }): Promise<SwitchStatus> {
    return this.#statusOf(this.#fabric(switchId));
  }

  async *watchSwitch(
    { switchId }: { readonly switchId: string },
    context: OperationContext,
  ): AsyncGenerator<WatchItem<SwitchStatus>> {
    this.#fabric(switchId);
    const present = (): readonly SwitchStatus[] => {
      const fabric = this.#switches.get(switchId);
      return fabric === undefined ? [] : [this.#statusOf(fabric)];
    };
    for await (const item of this.#feed.watch(present, context.signal)) {
      if (item.type === "resync" || item.object.switchId === switchId) yield item;
    }
  }

  async portStatistics(input: {
    readonly switchId: string;
    readonly portKeys?: readonly string[];
  }): Promise<readonly PortStatistics[]> {
    const fabric = this.#fabric(input.switchId);
    const keys = input.portKeys ?? fabric.connected.map(({ portKey }) => portKey);
    return keys.map((portKey) => this.#port(input.switchId, portKey).port.showCounters());
  }

  async collectGarbage(input: {
    readonly switchId: string;
    readonly known: readonly string[];
  }): Promise<readonly string[]> {
    const fabric = this.#fabric(input.switchId);
    const unknown = fabric.connected.filter(({ portKey }) => !input.known.includes(portKey));
    for (const port of unknown) fabric.disconnect(port);
    if (unknown.length > 0) this.#changed(fabric);
    return unknown.map(({ portKey }) => portKey);
  }

  /** The VM's end of an attachment that this switch gave out; `undefined` for any other. */
  openNic(attachment: PortAttachment): SimulatedNic | undefined {
    if (attachment.kind !== "qemu-stream") return undefined;
    for (const fabric of this.#switches.values()) {
      const bound = [
        ...fabric.connected.flatMap(({ binding, plug, portKey }) =>
          binding === undefined ? [] : [{ binding, plug, portKey }],
        ),
        ...[...fabric.moves.values()].map(({ ticket: { target, portKey }, plug }) => ({
          ...{ binding: target, plug, portKey },
        })),
      ];
      const found = bound.find((each) => pathOf(each.binding) === attachment.path);
      const port = fabric.ports.get(found?.portKey ?? "");
      if (found === undefined || port === undefined) continue;
      found.plug.plugged = true;
      this.#changed(fabric);
      return openPort(port, found, {
        receive: (frame) => fabric.receive(port, frame),
        unplugged: () => this.#changed(fabric),
      });
    }
    return undefined;
  }

  /** Says that a host has come or gone. */
  hostChanged(): void {
    for (const fabric of this.#switches.values()) this.#changed(fabric);
  }

  /** Ends what waits for a time to come. */
  dispose(): void {
    this.#archive.close();
  }

  #bindingOf({ host, switchId, portKey, generation }: ConnectPort): PortBinding {
    const place = `/simulated/${this.#world.name}/${host}/${this.#name}/${switchId}`;
    const attachment = { kind: "qemu-stream", path: `${place}/${portKey}@${generation}.sock` } as const;
    return { switchId, portKey, host, generation, attachment, fencing: "enforced" };
  }

  /** Takes a switch's record over. */
  #keep(record: SpecRecord): void {
    const { switchId } = record.spec;
    const fabric = this.#switches.get(switchId);
    if (fabric === undefined) {
      const made = new SwitchFabric(record);
      this.#switches.set(switchId, made);
      this.#feed.tell("added", switchId, this.#statusOf(made));
    } else {
      fabric.record = record;
      this.#changed(fabric);
    }
    this.#archive.onChange();
  }

  #fabric(switchId: string): SwitchFabric {
    const fabric = this.#switches.get(switchId);
    if (fabric === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
    return fabric;
  }

  #port(switchId: string, portKey: string): { readonly fabric: SwitchFabric; readonly port: SwitchPort } {
    const fabric = this.#fabric(switchId);
    const port = fabric.ports.get(portKey);
    if (port === undefined) throw new VdcError("NOT_FOUND", `switch '${fabric.spec.name}' has no port '${portKey}'`);
    return { fabric, port };
  }

  #changed(fabric: SwitchFabric): void {
    this.#feed.tell("modified", fabric.spec.switchId, this.#statusOf(fabric));
  }

  #statusOf(fabric: SwitchFabric): SwitchStatus {
    return statusOf(fabric, this.#isHostUp);
  }
}

function sameConnection(a: ConnectPort, b: ConnectPort): boolean {
  return a.host === b.host && a.portGroup === b.portGroup && a.mac === b.mac && isDeepStrictEqual(a.setting, b.setting);
}
