import {
  type Description,
  type OperationContext,
  type Page,
  pageByKey,
  refuseWhenOver,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import {
  addressProblems,
  type ConnectPort,
  type DistributedSwitch,
  type NetworkFacets,
  type PortBinding,
  type PortStatistics,
  type PortStatus,
  refusedSpec,
  settingProblems,
  type SpecProblem,
  specProblems,
  type SwitchAbilities,
  type SwitchSpec,
  type SwitchStatus,
  takeOverSpec,
} from "@vdc-os/core/network/v1";
import { facetAvailability, facetsOf } from "./facets.ts";
import type { MemoryNetwork } from "./memory-network.ts";
import { MemoryPort } from "./memory-port.ts";
import { version } from "./version.ts";

type Input<Name extends Exclude<keyof DistributedSwitch, "facets">> = Parameters<DistributedSwitch[Name]>[0];

/** What the switches can do. A spec that asks for more is refused. */
const abilities: SwitchAbilities = {
  facets: new Set(
    Object.entries(facetAvailability).flatMap(([facet, { status }]) =>
      status === "available" ? [facet as keyof NetworkFacets] : [],
    ),
  ),
  transports: ["overlay"],
  statefulFilters: false,
};

/** The vNetwork API on the network. No call waits for anything while it changes a switch, so that no two changes can meet. */
export class AcmeNetwork implements DistributedSwitch {
  readonly facets: NetworkFacets;
  readonly #network: MemoryNetwork;

  constructor(network: MemoryNetwork) {
    this.facets = facetsOf(network);
    this.#network = network;
  }

  async describe(): Promise<Description> {
    const { transports } = abilities;
    return {
      implementation: { name: "@acme/vdc-network", version, simulated: true },
      facets: facetAvailability,
      attributes: { fencing: "enforced", overheadBytes: 0, attachments: ["qemu-stream"], transports: [...transports] },
    };
  }

  async validateSwitch({ spec }: Input<"validateSwitch">): Promise<readonly SpecProblem[]> {
    return specProblems(spec, abilities);
  }

  async applySwitch(
    { spec, generation }: Input<"applySwitch">,
    context: OperationContext,
  ): Promise<{ readonly generation: number }> {
    refuseWhenOver(context);
    const { switchId } = spec;
    const problems = specProblems(spec, abilities);
    if (problems.length > 0) throw refusedSpec(`switch '${switchId}'`, problems);
    const known = this.#network.switches.get(switchId) ?? { spec, generation, ports: new Map<string, MemoryPort>() };
    this.#network.switches.set(switchId, takeOverSpec(known, spec, generation));
    this.#network.changed();
    return { generation };
  }

  async removeSwitch({ switchId }: Input<"removeSwitch">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    if (!this.#network.switches.has(switchId)) return;
    const connected = this.#connected(switchId).map(([name]) => ({ kind: "port", name }));
    if (connected.length > 0) {
      const message = `switch '${switchId}' has ${connected.length} connected ports`;
      throw new VdcError("FAILED_PRECONDITION", message, { blockers: connected });
    }
    this.#network.switches.delete(switchId);
    this.#network.changed();
  }

  async listSwitches(input: Input<"listSwitches">): Promise<Page<SwitchSpec>> {
    const { ownerDatacenter } = input;
    const specs = [...this.#network.switches.values()].map(({ spec }) => spec);
    const found = specs.filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ switchId }) => switchId, input);
  }

  async connectPort(input: ConnectPort, context: OperationContext): Promise<PortBinding> {
    refuseWhenOver(context);
    const { switchId, portKey, host, generation } = input;
    const { ports } = this.#network.get(switchId);
    this.#refuseUnlessPossible(input);
    const port = ports.get(portKey) ?? new MemoryPort();
    if (generation < port.lowest) {
      const message = `port '${portKey}' keeps out owners before ${port.lowest}: ${generation} is fenced`;
      throw new VdcError("FAILED_PRECONDITION", message, { reason: "VDC_FENCED" });
    }
    if (port.owner?.generation !== generation) {
      port.connect(input);
      ports.set(portKey, port);
      this.#network.changed();
    } else if (port.owner.host !== host) {
      throw new VdcError("ALREADY_EXISTS", `port '${portKey}' is connected on host '${port.owner.host}'`);
    }
    const path = [switchId, portKey, generation].map(encodeURIComponent).join("/");
    return { switchId, portKey, host, generation, attachment: { kind: "qemu-stream", path }, fencing: "enforced" };
  }

  async disconnectPort(
    { switchId, portKey, generation }: Input<"disconnectPort">,
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const port = this.#network.switches.get(switchId)?.ports.get(portKey);
    if (port?.owner?.generation !== generation) return;
    port.disconnect();
    this.#network.changed();
  }

  async revokePort({ switchId, portKey, generation }: Input<"revokePort">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const port = this.#network.port(switchId, portKey);
    port.lowest = Math.max(port.lowest, generation + 1);
    if (port.owner !== undefined && port.owner.generation <= generation) port.disconnect();
    this.#network.changed();
  }

  async switchStatus({ switchId }: Input<"switchStatus">): Promise<SwitchStatus> {
    const { spec, generation } = this.#network.get(switchId);
    return {
      switchId,
      desiredGeneration: generation,
      members: spec.members.map(({ host }) => ({ host, state: "up", realizedGeneration: generation, detail: "" })),
      ports: this.#connected(switchId).map(([, port, owner]) => statusOf(port, owner)),
    };
  }

  async *watchSwitch(
    input: Input<"watchSwitch">,
    { signal }: OperationContext,
  ): AsyncGenerator<WatchItem<SwitchStatus>> {
    // Whoever reads slowly gets fewer items, never an older state.
    for (let type: "added" | "modified" = "added"; !signal.aborted; type = "modified") {
      const { changes } = this.#network;
      yield { type, object: await this.switchStatus(input) };
      await this.#network.moreChangesThan(changes, signal);
    }
  }

  async portStatistics({ switchId, portKeys }: Input<"portStatistics">): Promise<readonly PortStatistics[]> {
    return this.#connected(switchId)
      .filter(([portKey]) => portKeys?.includes(portKey) ?? true)
      .map(([portKey, port]) => port.statistics(portKey));
  }

  async collectGarbage(
    { switchId, known }: Input<"collectGarbage">,
    context: OperationContext,
  ): Promise<readonly string[]> {
    refuseWhenOver(context);
    const unknown = this.#connected(switchId).filter(([portKey]) => !known.includes(portKey));
    for (const [, port] of unknown) port.disconnect();
    this.#network.changed();
    return unknown.map(([portKey]) => portKey);
  }

  /** The ports of a switch that somebody has connected, by their keys. */
  #connected(switchId: string): readonly (readonly [portKey: string, port: MemoryPort, owner: ConnectPort])[] {
    const { ports } = this.#network.get(switchId);
    return [...ports].flatMap(([portKey, port]) => (port.owner === undefined ? [] : [[portKey, port, port.owner]]));
  }

  /** Throws when a switch can't have such a port. */
  #refuseUnlessPossible({ switchId, portKey, portGroup, host, gate = "open", setting, addresses }: ConnectPort): void {
    const { spec } = this.#network.get(switchId);
    const problems = [
      ...addressProblems(addresses),
      ...(setting === undefined ? [] : settingProblems(setting, "setting", abilities)),
    ];
    if (problems.length > 0) throw refusedSpec(`port '${portKey}'`, problems);
    if (gate !== "open" && !abilities.facets.has("gate")) {
      throw new VdcError("FAILED_PRECONDITION", "the facet 'gate' is not available: a port is open");
    }
    const group = spec.portGroups.find(({ key }) => key === portGroup);
    if (group === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port group '${portGroup}'`);
    if (!spec.members.some((member) => member.host === host)) {
      throw new VdcError("FAILED_PRECONDITION", `host '${host}' is no member of switch '${switchId}'`);
    }
    const others = this.#connected(switchId).filter(
      ([key, , owner]) => key !== portKey && owner.portGroup === portGroup,
    );
    if (others.length >= (group.maxPorts ?? Number.POSITIVE_INFINITY)) {
      throw new VdcError("RESOURCE_EXHAUSTED", `port group '${portGroup}' has ${others.length} ports, and no more`);
    }
  }
}

function statusOf({ nic }: MemoryPort, { portKey, portGroup, host, generation, opaque }: ConnectPort): PortStatus {
  return {
    portKey,
    portGroup,
    host,
    generation,
    link: nic === undefined ? "down" : "up",
    gate: "open",
    learnedMacs: [],
    ...(opaque === undefined ? {} : { opaque }),
  };
}
