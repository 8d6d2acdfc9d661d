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
  type ConnectPort,
  type DistributedSwitch,
  distributedSwitch,
  type NetworkFacets,
  type PortAttachment,
  type PortBinding,
  type PortStatistics,
  type SpecProblem,
  type SwitchSpec,
  type SwitchStatus,
} from "@vdc-os/core/network/v1";
import { ChangeFeed } from "../world/change-feed.ts";
import { fencedError } from "../world/fenced-error.ts";
import { pageByKey } from "@vdc-os/core";
import { describeSimulated } from "../world/simulated-description.ts";
import type { WorldServices } from "../world/world-services.ts";
import { gateFacet, securityPolicyFacet } from "./port-facets.ts";
import type { SimulatedNic } from "./simulated-nic.ts";
import { SwitchFabric } from "./switch-fabric.ts";
import { SwitchPort } from "./switch-port.ts";
import { validateSetting, validateSwitch } from "./validate-switch.ts";

/** Whether a host of the world answers; one that the world does not know counts as well. */
export type IsHostUp = (host: string) => boolean;

/** Switches in memory: frames go between simulated NICs by the rules of VLANs, security policies and gates, in no time. */
export class SimulatedSwitch implements DistributedSwitch {
  readonly facets: NetworkFacets;
  readonly #name: string;
  readonly #world: WorldServices;
  readonly #isHostUp: IsHostUp;
  readonly #switches: Map<string, SwitchFabric> = new Map();
  readonly #feed: ChangeFeed<SwitchStatus> = new ChangeFeed();

  constructor(name: string, world: WorldServices, isHostUp: IsHostUp) {
    this.#name = name;
    this.#world = world;
    this.#isHostUp = isHostUp;
    const find = (switchId: string, portKey: string) => this.#port(switchId, portKey);
    const changed = (fabric: SwitchFabric) => this.#changed(fabric);
    this.facets = { gate: gateFacet(find, changed), securityPolicy: securityPolicyFacet(find) };
  }

  async describe(): Promise<Description> {
    return describeSimulated(distributedSwitch, {
      available: { gate: { maxHeldFrames: 256 }, securityPolicy: {} },
      because: { healthCheck: "there is no path between simulated hosts that a frame could be lost on" },
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
    const { spec, generation } = input;
    const problems = validateSwitch(spec);
    if (problems.length > 0) {
      const list = problems.map(({ path, message }) => `${path}: ${message}`).join("; ");
      throw new VdcError("INVALID_ARGUMENT", `switch '${spec.name}' can't be realised: ${list}`);
    }
    const fabric = this.#switches.get(spec.switchId);
    if (fabric === undefined) {
      const made = new SwitchFabric(spec, generation);
      this.#switches.set(spec.switchId, made);
      this.#feed.tell("added", spec.switchId, this.#statusOf(made));
      return { generation };
    }
    const same = isDeepStrictEqual(fabric.spec, spec);
    if (generation < fabric.generation || (generation === fabric.generation && !same)) {
      throw new VdcError(
        "ABORTED",
        `switch '${spec.name}' is at generation ${fabric.generation}: ${generation} is too old`,
      );
    }
    if (generation > fabric.generation) {
      fabric.apply(spec, generation);
      this.#changed(fabric);
    }
    return { generation };
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
    const [problem] = setting === undefined ? [] : validateSetting(setting, "setting");
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
      port.disconnect();
      port.request = input;
      port.newest = generation;
    } else {
      port = new SwitchPort(input);
      fabric.ports.set(portKey, port);
    }
    port.gate = input.gate ?? "open";
    port.binding = {
      switchId,
      portKey,
      host,
      generation,
      attachment: { kind: "qemu-stream", path: this.#pathOf(input) },
      fencing: "enforced",
    };
    this.#changed(fabric);
    return port.binding;
  }

  async disconnectPort(input: {
    readonly switchId: string;
    readonly portKey: string;
    readonly generation: number;
  }): Promise<void> {
    const fabric = this.#switches.get(input.switchId);
    const port = fabric?.ports.get(input.portKey);
    if (fabric === undefined || port?.binding?.generation !== input.generation) return;
    port.disconnect();
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
    port.disconnect();
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
    for (const port of unknown) port.disconnect();
    if (unknown.length > 0) this.#changed(fabric);
    return unknown.map(({ portKey }) => portKey);
  }

  /** The VM's end of an attachment that this switch gave out; `undefined` for any other. */
  openNic(attachment: PortAttachment): SimulatedNic | undefined {
    if (attachment.kind !== "qemu-stream") return undefined;
    for (const fabric of this.#switches.values()) {
      for (const port of fabric.ports.values()) {
        const { binding } = port;
        if (binding?.attachment.kind === "qemu-stream" && binding.attachment.path === attachment.path) {
          port.plugged = true;
          this.#changed(fabric);
          return openPort(port, binding, {
            receive: (frame) => fabric.receive(port, frame),
            unplugged: () => this.#changed(fabric),
          });
        }
      }
    }
    return undefined;
  }

  /** Says that a host has come or gone. */
  hostChanged(): void {
    for (const fabric of this.#switches.values()) this.#changed(fabric);
  }

  #pathOf({ host, switchId, portKey, generation }: ConnectPort): string {
    return `/simulated/${this.#world.name}/${host}/${this.#name}/${switchId}/${portKey}@${generation}.sock`;
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
    const { spec, generation } = fabric;
    return {
      switchId: spec.switchId,
      desiredGeneration: generation,
      members: spec.members.map(({ host }) => {
        const up = this.#isHostUp(host);
        return {
          host,
          state: up ? "up" : "disconnected",
          realizedGeneration: generation,
          detail: up ? "" : "the simulated host was made to fail",
        };
      }),
      ports: fabric.connected.map((port) => {
        const problem = fabric.problemOf(port);
        return {
          portKey: port.portKey,
          portGroup: port.request.portGroup,
          host: port.request.host,
          generation: port.newest,
          link: problem === undefined && port.plugged && this.#isHostUp(port.request.host) ? "up" : "down",
          gate: port.gate,
          learnedMacs: [...port.learnedMacs],
          ...(problem === undefined ? {} : { problem }),
          ...(port.request.opaque === undefined ? {} : { opaque: port.request.opaque }),
        };
      }),
    };
  }
}

function sameConnection(a: ConnectPort, b: ConnectPort): boolean {
  return a.host === b.host && a.portGroup === b.portGroup && a.mac === b.mac && isDeepStrictEqual(a.setting, b.setting);
}

interface NicSide {
  receive(frame: Uint8Array): void;
  unplugged(): void;
}

function openPort(port: SwitchPort, binding: PortBinding, side: NicSide): SimulatedNic {
  const isOwner = (): boolean => port.binding === binding;
  return {
    get linked() {
      return isOwner();
    },
    send(frame) {
      if (isOwner()) {
        side.receive(frame);
        return;
      }
      port.counters.framesIn += 1n;
      port.counters.bytesIn += BigInt(frame.length);
      port.counters.dropIn("fenced");
    },
    listen(onFrame) {
      if (!isOwner()) return;
      port.listener = onFrame;
      for (const frame of port.waiting.splice(0)) onFrame(frame);
    },
    take: () => (isOwner() ? port.waiting.splice(0) : []),
    close() {
      if (!isOwner()) return;
      port.listener = undefined;
      port.plugged = false;
      side.unplugged();
    },
  };
}
