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
  addressProblems,
  type ConnectPort,
  type DistributedSwitch,
  type PortBinding,
  type PortSetting,
  type PortStatistics,
  refusedSpec,
  type SpecProblem,
  settingProblems,
  type SwitchAbilities,
  type SwitchSpec,
  type SwitchStatus,
} from "@vdc-os/core/network/v1";
import { MemoryFabric, type MemoryTrial } from "./memory-fabric.ts";
import { fencedPort, type MemoryFacets, memoryFacets } from "./memory-facets.ts";
import { MemoryPort } from "./memory-port.ts";
import type { SuiteNic } from "./suite-nic.ts";

/** What a switch keeps when its process ends. */
export type MemorySwitchDisk = Map<string, MemoryFabric>;

/**
 * The reference of the network suite: switches in memory, whose hosts are names only. Each frame goes to every port of its VLAN that
 * takes it. Not a switch for anything but tests.
 */
export class MemorySwitch implements DistributedSwitch {
  readonly disk: MemorySwitchDisk;
  readonly facets: MemoryFacets;
  readonly #abilities: Pick<SwitchAbilities, "facets" | "statefulFilters">;
  readonly #watchers = new Set<() => void>();
  readonly #uplinks = new Map<string, (fabric: MemoryFabric) => void>();

  constructor(disk: MemorySwitchDisk = new Map()) {
    this.disk = disk;
    this.facets = memoryFacets({
      fabric: (switchId) => this.#fabric(switchId),
      fabrics: () => disk.values(),
      port: (switchId, portKey) => this.#port(switchId, portKey),
      apply: (spec, generation) => this.#apply(spec, generation),
      rollback: (fabric, trial) => this.#rollback(fabric, trial),
      changed: () => this.#changed(),
    });
    this.#abilities = { facets: new Set(Object.keys(this.facets) as (keyof MemoryFacets)[]), statefulFilters: true };
    for (const fabric of disk.values()) {
      for (const trial of fabric.trials.values()) {
        setTimeout(() => this.#rollback(fabric, trial), trial.deadline - Date.now()).unref();
      }
    }
  }

  /** The VM's end of a binding. */
  openNic({ switchId, portKey, generation }: PortBinding): SuiteNic {
    const fabric = this.#fabric(switchId);
    const moving = [...fabric.moves.values()].find((move) => move.ticket.target.generation === generation);
    const port =
      moving !== undefined && moving.ticket.portKey === portKey ? moving.port : this.#port(switchId, portKey);
    const nic: SuiteNic = {
      send: (frame) => {
        if (port.connected && port.nic === nic && port.generation === generation) fabric.take(port, Buffer.from(frame));
      },
      onFrame: () => undefined,
      close: () => undefined,
    };
    port.nic = nic;
    this.#changed();
    return nic;
  }

  /** The far end of an uplink, of every switch that is there or comes. */
  openUplink(name: string): SuiteNic {
    let end: SuiteNic | undefined;
    const nic: SuiteNic = {
      send: (frame) => end?.send(frame),
      onFrame: () => undefined,
      close: () => {
        this.#uplinks.delete(name);
        return end?.close();
      },
    };
    this.#uplinks.set(name, (fabric) => {
      end = fabric.plugUplink(name);
      end.onFrame = (bytes) => nic.onFrame(bytes);
      fabric.advertise();
    });
    for (const fabric of this.disk.values()) this.#uplinks.get(name)?.(fabric);
    return nic;
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    const available = { status: "available", limits: {}, evidence: "in memory" } as const;
    return {
      implementation: { name: "memory-switch", version: "1.0.0", simulated: true },
      facets: Object.fromEntries(Object.keys(this.facets).map((name) => [name, available])),
      attributes: {
        fencing: "enforced",
        overheadBytes: 0,
        attachments: ["qemu-stream"],
        transports: ["overlay", "uplinks"],
      },
    };
  }

  async validateSwitch({ spec }: { readonly spec: SwitchSpec }, _context: OperationContext): Promise<SpecProblem[]> {
    return validate(spec, this.#abilities);
  }

  async applySwitch(
    { spec, generation }: { readonly spec: SwitchSpec; readonly generation: number },
    context: OperationContext,
  ): Promise<{ readonly generation: number }> {
    refuseWhenOver(context);
    this.#apply(spec, generation);
    return { generation };
  }

  async removeSwitch({ switchId }: { readonly switchId: string }, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    if ((this.disk.get(switchId)?.connected ?? []).length > 0) {
      throw new VdcError("FAILED_PRECONDITION", "ports are connected");
    }
    this.disk.delete(switchId);
    this.#changed();
  }

  async listSwitches(
    input: PageRequest & { readonly ownerDatacenter?: string },
    _context: OperationContext,
  ): Promise<Page<SwitchSpec>> {
    const { ownerDatacenter } = input;
    const found = [...this.disk.values()]
      .map(({ spec }) => spec)
      .filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ switchId }) => switchId, input);
  }

  async connectPort(input: ConnectPort, context: OperationContext): Promise<PortBinding> {
    refuseWhenOver(context);
    const { switchId, portKey, portGroup, host, generation } = input;
    const problems = addressProblems(input.addresses);
    if (problems.length > 0) throw refusedSpec(`port '${portKey}'`, problems);
    const fabric = this.#fabric(switchId);
    const group = fabric.spec.portGroups.find(({ key }) => key === portGroup);
    if (group === undefined) throw new VdcError("NOT_FOUND", "no such port group");
    if (!fabric.spec.members.some((member) => member.host === host)) {
      throw new VdcError("FAILED_PRECONDITION", `host '${host}' is no member`);
    }
    const before = fabric.ports.get(portKey);
    if (before !== undefined && generation < before.lowest) throw fencedPort();
    const isSame = before?.connected === true && before.generation === generation;
    if (isSame && before.request.host !== host) throw new VdcError("ALREADY_EXISTS", "connected on another host");
    const others = fabric.connected.filter((port) => port !== before && port.request.portGroup === portGroup);
    if (others.length >= (group.maxPorts ?? Number.POSITIVE_INFINITY)) {
      throw new VdcError("RESOURCE_EXHAUSTED", `port group '${portGroup}' has ${others.length} ports`);
    }
    if (!isSame) {
      const port = new MemoryPort(input, input.setting ?? group.setting);
      if (before !== undefined) port.inherit(before);
      before?.disconnect();
      fabric.ports.set(portKey, port);
    }
    this.#changed();
    const path = [switchId, portKey, String(generation)].map(encodeURIComponent).join("/");
    return { switchId, portKey, host, generation, attachment: { kind: "qemu-stream", path }, fencing: "enforced" };
  }

  async disconnectPort(
    { switchId, portKey, generation }: { switchId: string; portKey: string; generation: Generation },
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const port = this.disk.get(switchId)?.ports.get(portKey);
    if (port?.generation === generation) port.disconnect();
    this.#changed();
  }

  async revokePort(
    { switchId, portKey, generation }: { switchId: string; portKey: string; generation: Generation },
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const port = this.#port(switchId, portKey);
    port.lowest = Math.max(port.lowest, generation + 1);
    if (port.generation <= generation) port.disconnect();
    this.#changed();
  }

  async switchStatus({ switchId }: { readonly switchId: string }, _context: OperationContext): Promise<SwitchStatus> {
    return this.#status(switchId);
  }

  async *watchSwitch(
    { switchId }: { readonly switchId: string },
    { signal }: OperationContext,
  ): AsyncIterable<WatchItem<SwitchStatus>> {
    let wake: () => void = () => undefined;
    const end = (): void => wake();
    signal.addEventListener("abort", end);
    try {
      for (let type: "added" | "modified" = "added"; !signal.aborted; type = "modified") {
        const changed = new Promise<void>((resolve) => {
          wake = resolve;
        });
        this.#watchers.add(wake);
        yield { type, object: this.#status(switchId) };
        if (!signal.aborted) await changed;
      }
    } finally {
      signal.removeEventListener("abort", end);
      this.#watchers.delete(wake);
    }
  }

  async portStatistics(
    { switchId, portKeys }: { readonly switchId: string; readonly portKeys?: readonly string[] },
    _context: OperationContext,
  ): Promise<PortStatistics[]> {
    return this.#fabric(switchId)
      .connected.filter(({ request }) => portKeys?.includes(request.portKey) ?? true)
      .map((port) => port.statistics());
  }

  async collectGarbage(
    { switchId, known }: { readonly switchId: string; readonly known: readonly string[] },
    context: OperationContext,
  ): Promise<string[]> {
    refuseWhenOver(context);
    const gone = this.#fabric(switchId).connected.filter(({ request }) => !known.includes(request.portKey));
    for (const port of gone) port.disconnect();
    this.#changed();
    return gone.map(({ request }) => request.portKey);
  }

  #apply(spec: SwitchSpec, generation: number): void {
    const [problem] = validate(spec, this.#abilities);
    if (problem !== undefined) throw new VdcError("INVALID_ARGUMENT", `${problem.path} ${problem.message}`);
    let fabric = this.disk.get(spec.switchId);
    if (fabric === undefined) {
      fabric = new MemoryFabric(spec, generation);
      this.disk.set(spec.switchId, fabric);
    }
    if (generation < fabric.generation || generation <= fabric.spent) {
      throw new VdcError("ABORTED", "an older generation, or one that was taken back");
    }
    this.#take(fabric, spec, generation);
    for (const plug of this.#uplinks.values()) plug(fabric);
  }

  #take(fabric: MemoryFabric, spec: SwitchSpec, generation: number): void {
    fabric.spec = spec;
    fabric.generation = generation;
    for (const port of fabric.ports.values()) port.setting = port.request.setting ?? settingOf(spec, port);
    this.#changed();
  }

  #rollback(fabric: MemoryFabric, trial: MemoryTrial): void {
    if (trial.state !== "waits" || this.disk.get(fabric.spec.switchId) !== fabric) return;
    trial.state = "rolledBack";
    fabric.spent = trial.generation;
    this.#take(fabric, trial.previous.spec, trial.previous.generation);
  }

  #status(switchId: string): SwitchStatus {
    const { spec, generation, connected } = this.#fabric(switchId);
    return {
      switchId,
      desiredGeneration: generation,
      members: spec.members.map(({ host }) => ({ host, state: "up", realizedGeneration: generation, detail: "" })),
      ports: connected.map(({ request, gate, nic, learned }) => ({
        portKey: request.portKey,
        portGroup: request.portGroup,
        host: request.host,
        generation: request.generation,
        link: nic === undefined ? "down" : "up",
        gate,
        learnedMacs: [...learned],
        ...(request.opaque === undefined ? {} : { opaque: request.opaque }),
      })),
    };
  }

  #fabric(switchId: string): MemoryFabric {
    const fabric = this.disk.get(switchId);
    if (fabric === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
    return fabric;
  }

  #port(switchId: string, portKey: string): MemoryPort {
    const port = this.#fabric(switchId).ports.get(portKey);
    if (port === undefined) throw new VdcError("NOT_FOUND", `there is no port '${portKey}'`);
    return port;
  }

  #changed(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const wake of watchers) wake();
  }
}

function validate(
  { portGroups }: SwitchSpec,
  abilities: Pick<SwitchAbilities, "facets" | "statefulFilters">,
): SpecProblem[] {
  const keys = portGroups.map(({ key }) => key);
  return portGroups.flatMap(({ key, setting }, at) => [
    ...(keys.indexOf(key) < at ? [{ path: `portGroups[${at}].key`, message: "is there twice" }] : []),
    ...settingProblems(setting, `portGroups[${at}].setting`, abilities),
  ]);
}

function settingOf({ portGroups }: SwitchSpec, { request, setting }: MemoryPort): PortSetting {
  return portGroups.find(({ key }) => key === request.portGroup)?.setting ?? setting;
}
