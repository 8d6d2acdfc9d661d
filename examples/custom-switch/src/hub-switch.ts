import { isDeepStrictEqual } from "node:util";
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
  type PortBinding,
  type PortStatistics,
  refusedSpec,
  settingProblems,
  type SpecProblem,
  specProblems,
  type SwitchAbilities,
  type SwitchSpec,
  type SwitchStatus,
  takeOverSpec,
} from "@vdc-os/core/network/v1";
import { Hub } from "./hub.ts";
import { statisticsOf } from "./hub-port.ts";
import { HubRecords, type PortRecord, type SwitchRecord } from "./hub-records.ts";

type Input<Operation extends keyof DistributedSwitch> = DistributedSwitch[Operation] extends
  | ((input: infer I, ...rest: never[]) => unknown)
  | undefined
  ? I
  : never;

/** What the hub can do. */
const abilities: SwitchAbilities = { facets: new Set(), transports: ["overlay"], statefulFilters: false };

/** A hub with VLANs as a distributed switch: what is asked for is on record, and the hub does it. All its hosts are this machine. */
export class HubSwitch implements DistributedSwitch {
  readonly #records: HubRecords;
  readonly #hub: Hub;
  readonly #watchers = new Set<() => void>();
  #isClosed = false;

  constructor({ directory }: { readonly directory: string }) {
    this.#records = new HubRecords(directory);
    this.#hub = new Hub({
      directory,
      specOf: (switchId) => this.#record(switchId).spec,
      onLink: () => this.#changed(),
    });
    for (const { ports } of this.#records.all()) {
      for (const { connected } of Object.values(ports)) if (connected !== undefined) this.#hub.plug(connected);
    }
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-hub-switch", version: "1.0.0", simulated: false },
      facets: {},
      attributes: { fencing: "enforced", overheadBytes: 0, attachments: ["qemu-stream"], transports: ["overlay"] },
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
    const problems = specProblems(spec, abilities);
    if (problems.length > 0) throw refusedSpec(`switch '${spec.switchId}'`, problems);
    const known = this.#records.get(spec.switchId);
    const record = known === undefined ? { spec, generation, ports: {} } : takeOverSpec(known, spec, generation);
    if (record !== known) this.#save(spec.switchId, record);
    return { generation };
  }

  async removeSwitch({ switchId }: Input<"removeSwitch">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    if (this.#records.get(switchId) === undefined) return;
    const connected = [...this.#hub.portsOf(switchId).keys()];
    if (connected.length > 0) {
      throw new VdcError("FAILED_PRECONDITION", `switch '${switchId}' has ${connected.length} connected ports`, {
        reason: "VDC_PORTS_CONNECTED",
        blockers: connected.map((name) => ({ kind: "Port", name })),
      });
    }
    this.#save(switchId, undefined);
  }

  async listSwitches(input: Input<"listSwitches">): Promise<Page<SwitchSpec>> {
    const { ownerDatacenter } = input;
    const specs = this.#records.all().map(({ spec }) => spec);
    const found = specs.filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ switchId }) => switchId, input);
  }

  async connectPort(input: ConnectPort, context: OperationContext): Promise<PortBinding> {
    refuseWhenOver(context);
    const { switchId, portKey, portGroup, host, generation, setting } = input;
    const record = this.#record(switchId);
    const group = record.spec.portGroups.find(({ key }) => key === portGroup);
    if (group === undefined) {
      throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port group '${portGroup}'`);
    }
    if (!record.spec.members.some((member) => member.host === host)) {
      throw new VdcError("FAILED_PRECONDITION", `host '${host}' is no member of switch '${switchId}'`, {
        reason: "VDC_NOT_A_MEMBER",
      });
    }
    if (input.gate !== undefined && input.gate !== "open") {
      throw new VdcError("FAILED_PRECONDITION", "the facet 'gate' is not available: a port is open");
    }
    const problems = [
      ...addressProblems(input.addresses),
      ...(setting === undefined ? [] : settingProblems(setting, "setting", abilities)),
    ];
    if (problems.length > 0) throw refusedSpec(`port '${portKey}'`, problems);
    const { lowest, connected: owner } = record.ports[portKey] ?? { lowest: 0 };
    if (generation < lowest) {
      throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' keeps out owners before ${lowest}`, {
        reason: "VDC_FENCED",
      });
    }
    if (owner?.generation === generation) {
      if (isDeepStrictEqual(owner, input)) return this.#bindingOf(input);
      throw new VdcError(
        "ALREADY_EXISTS",
        `port '${portKey}' is connected in generation ${generation}, in another way`,
        {
          reason: "VDC_PORT_CONNECTED",
        },
      );
    }
    const others = [...this.#hub.portsOf(switchId).values()].filter(({ request }) => request.portKey !== portKey);
    const inGroup = others.filter(({ request }) => request.portGroup === portGroup).length;
    if (inGroup >= (group.maxPorts ?? Number.POSITIVE_INFINITY)) {
      throw new VdcError("RESOURCE_EXHAUSTED", `port group '${portGroup}' may have ${inGroup} ports, and has them`, {
        reason: "VDC_PORT_GROUP_FULL",
      });
    }
    // Cut off first, then on record, then let in: a kill in between leaves nobody connected who must not be.
    this.#hub.unplug(switchId, portKey);
    this.#savePort(switchId, portKey, { lowest: generation, connected: input });
    this.#hub.plug(input);
    return this.#bindingOf(input);
  }

  async disconnectPort(
    { switchId, portKey, generation }: Input<"disconnectPort">,
    context: OperationContext,
  ): Promise<void> {
    refuseWhenOver(context);
    const port = this.#records.get(switchId)?.ports[portKey];
    if (port?.connected?.generation !== generation) return;
    this.#hub.unplug(switchId, portKey);
    this.#savePort(switchId, portKey, { lowest: port.lowest });
  }

  async revokePort({ switchId, portKey, generation }: Input<"revokePort">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const port = this.#record(switchId).ports[portKey];
    if (port === undefined) throw new VdcError("NOT_FOUND", `switch '${switchId}' has no port '${portKey}'`);
    const { lowest, connected } = port;
    const stays = connected !== undefined && connected.generation > generation;
    if (!stays) this.#hub.unplug(switchId, portKey);
    const kept = { lowest: Math.max(lowest, generation + 1), ...(stays ? { connected } : {}) };
    this.#savePort(switchId, portKey, kept);
  }

  async switchStatus({ switchId }: Input<"switchStatus">): Promise<SwitchStatus> {
    const { spec, generation } = this.#record(switchId);
    return {
      switchId,
      desiredGeneration: generation,
      members: spec.members.map(({ host }) => ({ host, state: "up", realizedGeneration: generation, detail: "" })),
      ports: [...this.#hub.portsOf(switchId).values()].map((port) => port.status()),
    };
  }

  async *watchSwitch(
    { switchId }: Input<"watchSwitch">,
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
        yield { type, object: await this.switchStatus({ switchId }) };
        if (!signal.aborted) await changed;
        this.#watchers.delete(wake);
      }
    } finally {
      signal.removeEventListener("abort", end);
      this.#watchers.delete(wake);
    }
  }

  async portStatistics({ switchId, portKeys }: Input<"portStatistics">): Promise<readonly PortStatistics[]> {
    this.#record(switchId);
    return [...this.#hub.portsOf(switchId)]
      .filter(([key]) => portKeys?.includes(key) ?? true)
      .map(([key, { counters }]) => statisticsOf(key, counters));
  }

  async collectGarbage(
    { switchId, known }: Input<"collectGarbage">,
    context: OperationContext,
  ): Promise<readonly string[]> {
    refuseWhenOver(context);
    const { ports } = this.#record(switchId);
    const gone = [...this.#hub.portsOf(switchId).keys()].filter((key) => !known.includes(key));
    for (const key of gone) {
      this.#hub.unplug(switchId, key);
      this.#savePort(switchId, key, { lowest: ports[key]?.lowest ?? 0 });
    }
    return gone;
  }

  /** Hangs up, and changes nothing from then on. What is on record is connected again when the hub is opened. */
  close(): void {
    this.#isClosed = true;
    this.#hub.close();
  }

  #bindingOf(request: ConnectPort): PortBinding {
    const { switchId, portKey, host, generation } = request;
    const attachment = { kind: "qemu-stream", path: this.#hub.pathOf(request) } as const;
    return { switchId, portKey, host, generation, attachment, fencing: "enforced" };
  }

  #record(switchId: string): SwitchRecord {
    const record = this.#records.get(switchId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
    return record;
  }

  #savePort(switchId: string, portKey: string, port: PortRecord): void {
    const record = this.#record(switchId);
    this.#save(switchId, { ...record, ports: { ...record.ports, [portKey]: port } });
  }

  #save(switchId: string, record: SwitchRecord | undefined): void {
    // The record may be another one's by now.
    if (this.#isClosed) throw new VdcError("UNAVAILABLE", "the hub is closed");
    this.#records.set(switchId, record);
    this.#changed();
  }

  #changed(): void {
    for (const wake of [...this.#watchers]) wake();
  }
}
