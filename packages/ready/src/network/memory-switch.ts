import {
  type DescribeInput,
  type Description,
  type Generation,
  type OperationContext,
  type Page,
  type PageRequest,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import type {
  ConnectPort,
  DistributedSwitch,
  NetworkFacets,
  PortBinding,
  PortSetting,
  PortStatistics,
  SpecProblem,
  SwitchSpec,
  SwitchStatus,
} from "@vdc-os/core/network/v1";
import { MemoryPort } from "./memory-port.ts";
import type { SuiteNic } from "./suite-nic.ts";

interface MemoryRecord {
  readonly spec: SwitchSpec;
  readonly generation: number;
  readonly ports: Map<string, MemoryPort>;
}

/** What a switch keeps when its process ends. */
export type MemorySwitchDisk = Map<string, MemoryRecord>;

/**
 * The reference of the network suite: switches in memory, whose hosts are names only. Each frame goes to every port of its VLAN that
 * takes it. Not a switch for anything but tests.
 */
export class MemorySwitch implements DistributedSwitch {
  readonly disk: MemorySwitchDisk;
  readonly facets: Required<Pick<NetworkFacets, "gate" | "securityPolicy">>;
  readonly #watchers = new Set<() => void>();

  constructor(disk: MemorySwitchDisk = new Map()) {
    this.disk = disk;
    this.facets = {
      gate: {
        setGate: async ({ switchId, portKey, gate, generation }) => {
          this.#owned(switchId, portKey, generation).setGate(gate, this.#peers(switchId));
          this.#changed();
        },
        heldFrames: async ({ switchId, portKey }) => ({ frames: this.#port(switchId, portKey).held.length }),
        releaseHeld: async ({ switchId, portKey, frames, generation }) => ({
          released: this.#owned(switchId, portKey, generation).release(frames, this.#peers(switchId)),
        }),
        discardHeld: async ({ switchId, portKey, generation }) => ({
          discarded: this.#owned(switchId, portKey, generation).discard(),
        }),
      },
      securityPolicy: {
        effectiveSetting: async ({ switchId, portKey }) => this.#port(switchId, portKey).setting,
      },
    };
  }

  /** The VM's end of a binding. */
  openNic({ switchId, portKey, generation }: PortBinding): SuiteNic {
    const port = this.#port(switchId, portKey);
    const nic: SuiteNic = {
      send: (frame) => {
        if (port.nic === nic && port.generation === generation) port.take(Buffer.from(frame), this.#peers(switchId));
      },
      onFrame: () => undefined,
      close: () => undefined,
    };
    port.nic = nic;
    this.#changed();
    return nic;
  }

  async describe(_input: DescribeInput, _context: OperationContext): Promise<Description> {
    const available = { status: "available", limits: {}, evidence: "in memory" } as const;
    return {
      implementation: { name: "memory-switch", version: "1.0.0", simulated: true },
      facets: { gate: available, securityPolicy: available },
      attributes: { fencing: "enforced", overheadBytes: 0, attachments: ["qemu-stream"] },
    };
  }

  async validateSwitch({ spec }: { readonly spec: SwitchSpec }, _context: OperationContext): Promise<SpecProblem[]> {
    const keys = spec.portGroups.map(({ key }) => key);
    return spec.portGroups.flatMap(({ key, setting }, at) => [
      ...(keys.indexOf(key) < at ? [{ path: `portGroups[${at}].key`, message: "is there twice" }] : []),
      ...(["teaming", "shapingIn", "shapingOut", "filters"] as const).flatMap((name) =>
        setting[name] === undefined ? [] : [{ path: `portGroups[${at}].setting.${name}`, message: "is not available" }],
      ),
      ...(setting.vlan.kind === "pvlan"
        ? [{ path: `portGroups[${at}].setting.vlan`, message: "private VLANs are not available" }]
        : []),
    ]);
  }

  async applySwitch(
    { spec, generation }: { readonly spec: SwitchSpec; readonly generation: number },
    context: OperationContext,
  ): Promise<{ readonly generation: number }> {
    const [problem] = await this.validateSwitch({ spec }, context);
    if (problem !== undefined) throw new VdcError("INVALID_ARGUMENT", `${problem.path} ${problem.message}`);
    const known = this.disk.get(spec.switchId);
    if (known !== undefined && generation < known.generation) throw new VdcError("ABORTED", "an older generation");
    const ports = known?.ports ?? new Map<string, MemoryPort>();
    this.disk.set(spec.switchId, { spec, generation, ports });
    for (const port of ports.values()) port.setting = port.own ?? groupOf(spec, port.portGroup);
    this.#changed();
    return { generation };
  }

  async removeSwitch({ switchId }: { readonly switchId: string }, _context: OperationContext): Promise<void> {
    const ports = [...(this.disk.get(switchId)?.ports.values() ?? [])];
    if (ports.some(({ connected }) => connected)) throw new VdcError("FAILED_PRECONDITION", "ports are connected");
    this.disk.delete(switchId);
    this.#changed();
  }

  async listSwitches(
    { limit = 100, pageToken, ownerDatacenter }: PageRequest & { readonly ownerDatacenter?: string },
    _context: OperationContext,
  ): Promise<Page<SwitchSpec>> {
    if (pageToken !== undefined && !/^\d+$/.test(pageToken)) throw new VdcError("ABORTED", "an unknown page token");
    const from = Number(pageToken ?? 0);
    const all = [...this.disk.values()]
      .map(({ spec }) => spec)
      .filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    const items = all.slice(from, from + limit);
    return from + limit < all.length ? { items, nextPageToken: String(from + limit) } : { items };
  }

  async connectPort(input: ConnectPort, _context: OperationContext): Promise<PortBinding> {
    const { switchId, portKey, portGroup, host, mac, generation, setting, gate } = input;
    const { spec, ports } = this.#switch(switchId);
    if (!spec.portGroups.some(({ key }) => key === portGroup)) throw new VdcError("NOT_FOUND", "no such port group");
    const before = ports.get(portKey);
    if (before !== undefined && generation < before.lowest) throw fenced();
    if (before?.connected === true && before.generation === generation && before.host !== host) {
      throw new VdcError("ALREADY_EXISTS", "connected on another host");
    }
    if (before?.connected !== true || before.generation !== generation) {
      before?.disconnect();
      const port = new MemoryPort({ portGroup, host, mac, generation, setting: setting ?? groupOf(spec, portGroup) });
      port.own = setting;
      port.gate = gate ?? "open";
      if (before !== undefined) port.count = before.count;
      ports.set(portKey, port);
    }
    this.#changed();
    const path = `${switchId}/${portKey}/${generation}`;
    return { switchId, portKey, host, generation, attachment: { kind: "qemu-stream", path }, fencing: "enforced" };
  }

  async disconnectPort(
    { switchId, portKey, generation }: { switchId: string; portKey: string; generation: Generation },
    _context: OperationContext,
  ): Promise<void> {
    const port = this.disk.get(switchId)?.ports.get(portKey);
    if (port?.generation === generation) port.disconnect();
    this.#changed();
  }

  async revokePort(
    { switchId, portKey, generation }: { switchId: string; portKey: string; generation: Generation },
    _context: OperationContext,
  ): Promise<void> {
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
    for (let type: "added" | "modified" = "added"; !signal.aborted; type = "modified") {
      const changed = new Promise<void>((resolve) => {
        this.#watchers.add(resolve);
        signal.addEventListener("abort", () => resolve());
      });
      yield { type, object: this.#status(switchId) };
      await changed;
    }
  }

  async portStatistics(
    { switchId, portKeys }: { readonly switchId: string; readonly portKeys?: readonly string[] },
    _context: OperationContext,
  ): Promise<PortStatistics[]> {
    const connected = [...this.#switch(switchId).ports].filter(([, port]) => port.connected);
    return connected
      .filter(([portKey]) => portKeys?.includes(portKey) ?? true)
      .map(([portKey, { count, held }]) => ({
        portKey,
        framesIn: String(count.framesIn),
        bytesIn: String(count.bytesIn),
        framesForwarded: String(count.forwarded),
        framesHeld: String(held.length),
        dropsIn: { refused: String(count.refused) },
        framesOut: String(count.framesOut),
        bytesOut: String(count.bytesOut),
        dropsOut: {},
      }));
  }

  async collectGarbage(
    { switchId, known }: { readonly switchId: string; readonly known: readonly string[] },
    _context: OperationContext,
  ): Promise<string[]> {
    const gone = [...this.#switch(switchId).ports].filter(([key, port]) => port.connected && !known.includes(key));
    for (const [, port] of gone) port.disconnect();
    this.#changed();
    return gone.map(([key]) => key);
  }

  #status(switchId: string): SwitchStatus {
    const { spec, generation, ports } = this.#switch(switchId);
    return {
      switchId,
      desiredGeneration: generation,
      members: spec.members.map(({ host }) => ({ host, state: "up", realizedGeneration: generation, detail: "" })),
      ports: [...ports]
        .filter(([, port]) => port.connected)
        .map(([portKey, port]) => ({
          portKey,
          portGroup: port.portGroup,
          host: port.host,
          generation: port.generation,
          link: port.nic === undefined ? "down" : "up",
          gate: port.gate,
          learnedMacs: [],
        })),
    };
  }

  #switch(switchId: string): MemoryRecord {
    const record = this.disk.get(switchId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
    return record;
  }

  #port(switchId: string, portKey: string): MemoryPort {
    const port = this.#switch(switchId).ports.get(portKey);
    if (port === undefined) throw new VdcError("NOT_FOUND", `there is no port '${portKey}'`);
    return port;
  }

  #owned(switchId: string, portKey: string, generation: Generation): MemoryPort {
    const port = this.#port(switchId, portKey);
    if (port.generation !== generation) throw fenced();
    return port;
  }

  #peers(switchId: string): readonly MemoryPort[] {
    return [...this.#switch(switchId).ports.values()].filter(({ connected }) => connected);
  }

  #changed(): void {
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const wake of watchers) wake();
  }
}

function groupOf({ portGroups }: SwitchSpec, key: string): PortSetting {
  const group = portGroups.find((each) => each.key === key);
  if (group === undefined) throw new VdcError("NOT_FOUND", `there is no port group '${key}'`);
  return group.setting;
}

function fenced(): VdcError {
  return new VdcError("FAILED_PRECONDITION", "another owner has the port", { reason: "VDC_FENCED" });
}
