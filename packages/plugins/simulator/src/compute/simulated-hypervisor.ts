import { isDeepStrictEqual } from "node:util";
import {
  type Description,
  type OperationContext,
  type Page,
  type PageRequest,
  toVdcError,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import {
  type ComputeFacets,
  type ComputeInventory,
  type CreateVm,
  type Hypervisor,
  hypervisor,
  type Vm,
  type VmStatistics,
} from "@vdc-os/core/compute/v1";
import { ChangeFeed } from "../world/change-feed.ts";
import { fencedError } from "../world/fenced-error.ts";
import { pageByKey } from "@vdc-os/core";
import { describeSimulated } from "../world/simulated-description.ts";
import { simulatorVersion, type WorldServices } from "../world/world-services.ts";
import { diskFacets } from "./disk-facets.ts";
import { hotAddFacet } from "./hot-add-facet.ts";
import { SimulatedGuest } from "./simulated-guest.ts";
import { isOn, newVmRecord, toVm, type VmRecord } from "./vm-record.ts";

/** What a simulated host has. */
export interface SimulatedHostSpec {
  readonly name: string;
  /** Defaults to 8. */
  readonly cpus?: number;
  /** Defaults to 32 GiB. */
  readonly memoryBytes?: number;
  /** Defaults to the name. */
  readonly failureDomain?: string;
}

/** How long guests take, in milliseconds. */
export interface GuestTimes {
  readonly bootMs: number;
  readonly shutdownMs: number;
}

/** The hypervisor of a simulated host. Its machines are {@link SimulatedGuest}s; no instruction is ever run. */
export class SimulatedHypervisor implements Hypervisor {
  readonly facets: ComputeFacets;
  readonly #host: Required<SimulatedHostSpec>;
  readonly #world: WorldServices;
  readonly #times: GuestTimes;
  readonly #vms: Map<string, VmRecord> = new Map();
  readonly #feed: ChangeFeed<Vm> = new ChangeFeed();

  constructor(host: Required<SimulatedHostSpec>, world: WorldServices, times: GuestTimes) {
    this.#host = host;
    this.#world = world;
    this.#times = times;
    this.facets = {
      hotAdd: hotAddFacet({
        find: (vmId) => this.#find(vmId),
        changed: (record) => this.#changed(record),
        mustFit: (record, bytes) => this.#mustFit(record, bytes),
      }),
      ...diskFacets({ world, find: (vmId) => this.#find(vmId), changed: (record) => this.#changed(record) }),
    };
  }

  async describe(): Promise<Description> {
    return describeSimulated(hypervisor, {
      available: {
        hotAdd: {
          cpuAdd: true,
          cpuRemove: true,
          memoryAdd: true,
          memoryRemove: true,
          diskAdd: true,
          nicAdd: true,
        },
        storageMigration: {},
        diskCopy: {},
      },
      because: {
        diskResize: "a simulated guest does not look at the size of its disk again",
        nativeMigration: "a simulated machine has no memory to move",
        replica: "a simulated machine has no memory to copy",
        snapshotWithMemory: "a simulated machine has no memory to save",
        templates: "a simulated machine has no memory to clone",
        directPath: "a simulated host has no devices",
        guestAgent: "no guest runs in a simulated machine",
      },
      attributes: { host: this.#host.name, fencing: "enforced" },
    });
  }

  async computeInventory(): Promise<ComputeInventory> {
    const { cpus, memoryBytes } = this.#host;
    return {
      cpus,
      memoryBytes,
      promisedMemoryBytes: this.#promised(),
      accelerator: { kind: "simulated", evidence: "the VDC-OS simulator runs no guests" },
      monitorVersion: `simulator ${simulatorVersion}`,
    };
  }

  async createVm(input: CreateVm): Promise<Vm> {
    for (const present of this.#vms.values()) {
      if (present.name !== input.name) continue;
      if (isDeepStrictEqual(present.asked, input)) return toVm(present);
      throw new VdcError(
        "ALREADY_EXISTS",
        `there is a VM '${input.name}' with another spec on host '${this.#host.name}'`,
      );
    }
    mustBeSound(input);
    const record = newVmRecord(this.#world.nextId("vm"), input);
    this.#vms.set(record.vmId, record);
    this.#feed.tell("added", record.vmId, toVm(record));
    return toVm(record);
  }

  async deleteVm({ vmId }: { readonly vmId: string }): Promise<void> {
    const record = this.#vms.get(vmId);
    if (record === undefined) return;
    if (isOn(record))
      throw new VdcError("FAILED_PRECONDITION", `VM '${record.name}' is ${record.state}: stop it first`);
    this.#vms.delete(vmId);
    record.console.wake();
    this.#feed.tell("deleted", vmId, toVm(record));
  }

  async getVm({ vmId }: { readonly vmId: string }): Promise<Vm> {
    return toVm(this.#find(vmId));
  }

  async listVms(input: PageRequest & { readonly ownerDatacenter?: string; readonly name?: string }): Promise<Page<Vm>> {
    const { ownerDatacenter, name } = input;
    const found = [...this.#vms.values()].filter(
      ({ owner, name: own }) =>
        (ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter) &&
        (name === undefined || own === name),
    );
    const page = pageByKey(found, (record) => record.name, input);
    return { ...page, items: page.items.map(toVm) };
  }

  watchVms(_input: Readonly<Record<never, never>>, context: OperationContext): AsyncIterable<WatchItem<Vm>> {
    return this.#feed.watch(() => [...this.#vms.values()].map(toVm), context.signal);
  }

  async startVm({ vmId, generation }: { readonly vmId: string; readonly generation: number }): Promise<Vm> {
    const record = this.#find(vmId);
    if (generation < record.newest) throw fencedError(`VM '${record.name}'`, generation, record.newest);
    if (isOn(record)) {
      if (generation > record.newest) {
        record.newest = generation;
        record.startedWith = generation;
        this.#changed(record);
      }
      return toVm(record);
    }
    this.#mustFit(record, record.spec.memoryBytes);
    record.newest = generation;
    record.startedWith = generation;
    record.state = "running";
    record.detail = undefined;
    record.startedAt = this.#world.clock.now();
    record.poweredOn = this.#world.clock.monotonic();
    record.guest = new SimulatedGuest({
      world: this.#world,
      spec: record.spec,
      console: record.console,
      bootMs: this.#times.bootMs,
      onPowerOff: () => this.#ended(record, "off", "the guest switched itself off"),
    });
    this.#changed(record);
    return toVm(record);
  }

  async stopVm(
    input: { readonly vmId: string; readonly mode: "guest" | "hard"; readonly generation?: number },
    context: OperationContext,
  ): Promise<Vm> {
    const { vmId, mode, generation } = input;
    const record = this.#find(vmId);
    if (generation !== undefined && generation < record.newest) {
      throw fencedError(`VM '${record.name}'`, generation, record.newest);
    }
    record.newest = Math.max(record.newest, generation ?? 0);
    if (!isOn(record)) {
      record.state = "off";
      return toVm(record);
    }
    if (mode === "guest" && this.#times.shutdownMs > 0) {
      record.state = "stopping";
      this.#changed(record);
      await this.#world.clock.sleep(this.#times.shutdownMs, { signal: context.signal }).catch((error) => {
        throw toVdcError(error);
      });
    }
    if (mode === "guest") record.guest?.powerOff();
    else this.#ended(record, "off", "it was switched off");
    return toVm(record);
  }

  async *readConsole(
    input: { readonly vmId: string; readonly offset?: number; readonly follow?: boolean },
    context: OperationContext,
  ): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
    const record = this.#find(input.vmId);
    const { console } = record;
    let offset = input.offset ?? 0;
    for (;;) {
      // Looked at before the text is taken, so that what a guest writes last is not lost.
      const goesOn = input.follow === true && isOn(record);
      if (console.size > offset) {
        const text = console.from(offset);
        yield { offset, text };
        offset += Buffer.byteLength(text);
        continue;
      }
      if (!goesOn) return;
      if (context.signal.aborted) throw toVdcError(context.signal.reason);
      await console.more(context.signal);
    }
  }

  async writeConsole({ vmId, text }: { readonly vmId: string; readonly text: string }): Promise<void> {
    const record = this.#find(vmId);
    if (record.guest === undefined || !isOn(record)) {
      throw new VdcError("FAILED_PRECONDITION", `VM '${record.name}' is ${record.state}: nobody reads its console`);
    }
    record.guest.type(text);
  }

  async vmStatistics({ vmId }: { readonly vmId: string }): Promise<VmStatistics> {
    const record = this.#find(vmId);
    if (!isOn(record)) throw new VdcError("FAILED_PRECONDITION", `VM '${record.name}' is ${record.state}`);
    const upMs = this.#world.clock.monotonic() - record.poweredOn;
    return {
      vmId,
      at: this.#world.clock.now(),
      // A machine that boots and then idles: all of the first second, and a twentieth of the rest.
      cpuTimeMs: Math.round(Math.min(upMs, 1000) + Math.max(0, upMs - 1000) / 20),
      residentBytes: Math.floor(record.spec.memoryBytes / 4),
      disks: record.spec.disks.map(({ id }) => ({
        id,
        readBytes: 0,
        writtenBytes: 0,
        readOperations: 0,
        writeOperations: 0,
        ...record.guest?.counters.get(id),
      })),
    };
  }

  /** A guest or its monitor fails: the machine is `crashed`. */
  crash(name: string, detail: string): void {
    for (const record of this.#vms.values())
      if (record.name === name && isOn(record)) this.#ended(record, "crashed", detail);
  }

  /** The host loses its power: every machine on it is off. */
  powerLost(): void {
    for (const record of this.#vms.values()) if (isOn(record)) this.#ended(record, "off", "the host lost its power");
  }

  /** Ends and forgets the machines that a datacenter stamped; without one, all. */
  removeAll(datacenter: string | undefined): void {
    for (const record of [...this.#vms.values()]) {
      if (datacenter !== undefined && record.owner?.datacenter !== datacenter) continue;
      if (isOn(record)) this.#ended(record, "off", "its host was removed");
      this.#vms.delete(record.vmId);
      this.#feed.tell("deleted", record.vmId, toVm(record));
    }
  }

  #ended(record: VmRecord, state: "off" | "crashed", detail: string): void {
    record.guest?.end();
    record.guest = undefined;
    record.state = state;
    record.detail = `${detail} (simulated)`;
    record.startedAt = undefined;
    record.console.wake();
    this.#changed(record);
  }

  #find(vmId: string): VmRecord {
    const record = this.#vms.get(vmId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no VM '${vmId}' on host '${this.#host.name}'`);
    return record;
  }

  #promised(): number {
    return [...this.#vms.values()].filter(isOn).reduce((sum, { spec }) => sum + spec.memoryBytes, 0);
  }

  /** Memory of a machine that runs is promised: a host promises no more than it has. */
  #mustFit(record: VmRecord, memoryBytes: number): void {
    const others = this.#promised() - (isOn(record) ? record.spec.memoryBytes : 0);
    if (others + memoryBytes <= this.#host.memoryBytes) return;
    throw new VdcError(
      "RESOURCE_EXHAUSTED",
      `host '${this.#host.name}' has ${this.#host.memoryBytes - others} bytes of memory left, and VM '${record.name}' needs ${memoryBytes}`,
    );
  }

  #changed(record: VmRecord): void {
    this.#feed.tell("modified", record.vmId, toVm(record));
  }
}

function mustBeSound({ name, spec }: CreateVm): void {
  const twice = (kind: string, ids: readonly string[]): void => {
    const again = ids.find((id, at) => ids.indexOf(id) < at);
    if (again !== undefined) throw new VdcError("INVALID_ARGUMENT", `VM '${name}' has ${kind} '${again}' twice`);
  };
  twice(
    "disk",
    spec.disks.map(({ id }) => id),
  );
  twice(
    "NIC",
    spec.nics.map(({ id }) => id),
  );
  if ((spec.maxCpus ?? spec.cpus) < spec.cpus || (spec.maxMemoryBytes ?? spec.memoryBytes) < spec.memoryBytes) {
    throw new VdcError("INVALID_ARGUMENT", `VM '${name}' has more than it may grow to`);
  }
  if (spec.memoryBytes === 0) throw new VdcError("INVALID_ARGUMENT", `VM '${name}' has no memory`);
}
