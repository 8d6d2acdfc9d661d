import { isDeepStrictEqual } from "node:util";
import {
  type Description,
  type OperationContext,
  pageByKey,
  refuseWhenOver,
  toVdcError,
  VdcError,
  type WatchItem,
} from "@vdc-os/core";
import type {
  ComputeFacets,
  ComputeInventory,
  CreateVm,
  DiskMigration,
  Hypervisor,
  Vm,
  VmSpec,
  VmStatistics,
} from "@vdc-os/core/compute/v1";
import { memoryDiskFacets } from "./memory-disks.ts";

/** A VM of {@link MemoryHost}. */
export interface MemoryVm {
  vm: Vm;
  /** The highest generation that was seen. */
  highest: number;
  console: string;
  /** How large its guest sees each disk, since it was started or told. */
  readonly sizes: Map<string, number>;
}

/** What outlives a hypervisor: the VMs, those that run among them. */
export interface MemoryHost {
  readonly vms: Map<string, MemoryVm>;
  nextId: number;
  /** By transport, as JSON. */
  readonly volumes: Map<string, Uint8Array>;
  /** The last migration of each disk. */
  readonly migrations: Map<string, DiskMigration>;
}

/** A host without anything. */
export function emptyMemoryHost(): MemoryHost {
  return { vms: new Map(), nextId: 1, volumes: new Map(), migrations: new Map() };
}

/** Makes the event loop turn once, as anything that is real would. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A hypervisor that pretends: the reference that the suite is proved with. Guests write `ready` and then do nothing. */
export class MemoryHypervisor implements Hypervisor {
  readonly facets: ComputeFacets;
  readonly host: MemoryHost;
  readonly #listeners = new Set<(item: WatchItem<Vm>) => void>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(host: MemoryHost = emptyMemoryHost()) {
    this.host = host;
    this.facets = memoryDiskFacets(host, (vmId, generation) => {
      const found = this.#find(vmId);
      if (generation !== undefined) this.#fence(found, generation);
      return found;
    });
  }

  async describe(): Promise<Description> {
    const implementation = { name: "memory", version: "1.0.0", simulated: true };
    const available = { status: "available", limits: {}, evidence: "memory" } as const;
    return {
      implementation,
      facets: { storageMigration: available, diskCopy: available, diskResize: available },
      attributes: {},
    };
  }

  async computeInventory(): Promise<ComputeInventory> {
    const running = [...this.host.vms.values()].filter(({ vm }) => vm.state === "running");
    return {
      cpus: 4,
      memoryBytes: 2 ** 40,
      promisedMemoryBytes: running.reduce((sum, { vm }) => sum + vm.spec.memoryBytes, 0),
      accelerator: { kind: "none", evidence: "nothing runs here" },
      monitorVersion: "1.0.0",
    };
  }

  async createVm({ name, spec, owner }: CreateVm, context: OperationContext): Promise<Vm> {
    refuseWhenOver(context);
    mustBeSound(spec);
    const present = [...this.host.vms.values()].find(({ vm }) => vm.name === name)?.vm;
    if (present !== undefined) {
      if (isDeepStrictEqual([present.spec, present.owner], [spec, owner])) return present;
      throw new VdcError("ALREADY_EXISTS", `there is a VM '${name}' with another spec`);
    }
    const vmId = `vm-${this.host.nextId++}`;
    const vm: Vm = { vmId, name, spec, state: "off", ...(owner === undefined ? {} : { owner }) };
    this.host.vms.set(vmId, { vm, highest: 0, console: "", sizes: new Map() });
    this.#tell({ type: "added", object: vm });
    return vm;
  }

  async deleteVm({ vmId }: { readonly vmId: string }, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    await this.#oneByOne(async () => {
      const found = this.host.vms.get(vmId);
      if (found === undefined) return;
      if (found.vm.state !== "off") throw new VdcError("FAILED_PRECONDITION", `VM '${vmId}' runs`);
      this.host.vms.delete(vmId);
      this.#tell({ type: "deleted", object: found.vm });
    });
  }

  async getVm({ vmId }: { readonly vmId: string }): Promise<Vm> {
    return this.#find(vmId).vm;
  }

  async listVms(input: Parameters<Hypervisor["listVms"]>[0]): ReturnType<Hypervisor["listVms"]> {
    const { ownerDatacenter, name } = input;
    const found = [...this.host.vms.values()]
      .map(({ vm }) => vm)
      .filter((vm) => ownerDatacenter === undefined || vm.owner?.datacenter === ownerDatacenter)
      .filter((vm) => name === undefined || vm.name === name);
    return pageByKey(found, (vm) => vm.vmId, input);
  }

  async *watchVms(_: Readonly<Record<never, never>>, context: OperationContext): AsyncGenerator<WatchItem<Vm>> {
    const pending: WatchItem<Vm>[] = [...this.host.vms.values()].map(({ vm }) => ({ type: "added", object: vm }));
    let wake: () => void = () => {};
    const listener = (item: WatchItem<Vm>): void => {
      pending.push(item);
      wake();
    };
    const onAbort = (): void => wake();
    this.#listeners.add(listener);
    context.signal.addEventListener("abort", onAbort);
    try {
      while (!context.signal.aborted) {
        const item = pending.shift();
        if (item !== undefined) yield item;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    } finally {
      this.#listeners.delete(listener);
      context.signal.removeEventListener("abort", onAbort);
    }
  }

  async startVm(
    { vmId, generation }: { readonly vmId: string; readonly generation: number },
    context: OperationContext,
  ): Promise<Vm> {
    refuseWhenOver(context);
    return this.#oneByOne(async () => {
      const found = this.#find(vmId);
      this.#fence(found, generation);
      await turn();
      if (context.signal.aborted) throw toVdcError(context.signal.reason);
      found.highest = generation;
      if (found.vm.state === "running") return this.#set(found, { ...found.vm, generation });
      for (const { id, transport } of found.vm.spec.disks) {
        found.sizes.set(id, this.host.volumes.get(JSON.stringify(transport))?.length ?? 0);
      }
      found.console = "Welcome to memory, señor\nready\n";
      return this.#set(found, {
        ...found.vm,
        state: "running",
        generation,
        startedAt: performance.timeOrigin + performance.now(),
      });
    });
  }

  async stopVm(input: Parameters<Hypervisor["stopVm"]>[0], context: OperationContext): Promise<Vm> {
    refuseWhenOver(context);
    return this.#oneByOne(async () => {
      const found = this.#find(input.vmId);
      if (input.generation !== undefined) {
        this.#fence(found, input.generation);
        found.highest = input.generation;
      }
      await turn();
      const { startedAt: _, ...vm } = found.vm;
      return this.#set(found, { ...vm, state: "off" });
    });
  }

  async *readConsole(
    { vmId, offset = 0, follow = false }: Parameters<Hypervisor["readConsole"]>[0],
    context: OperationContext,
  ): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
    const found = this.#find(vmId);
    const rest = Buffer.from(found.console).subarray(offset);
    const half = Math.floor(rest.length / 2);
    // Cut in two, and not in the middle of a character.
    const cut = rest.subarray(0, half).toString().endsWith("\ufffd") ? half + 1 : half;
    if (cut > 0) yield { offset, text: rest.subarray(0, cut).toString() };
    if (rest.length > cut) yield { offset: offset + cut, text: rest.subarray(cut).toString() };
    while (follow && found.vm.state === "running") {
      await turn();
      if (context.signal.aborted) throw toVdcError(context.signal.reason);
    }
  }

  async writeConsole({ vmId }: { readonly vmId: string }): Promise<void> {
    this.#running(vmId);
  }

  async vmStatistics({ vmId }: { readonly vmId: string }): Promise<VmStatistics> {
    this.#running(vmId);
    return { vmId, at: Date.now(), cpuTimeMs: performance.now(), residentBytes: 4096, disks: [] };
  }

  #oneByOne<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.catch(() => undefined);
    return result;
  }

  #find(vmId: string): MemoryVm {
    const found = this.host.vms.get(vmId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no VM '${vmId}'`);
    return found;
  }

  #running(vmId: string): void {
    if (this.#find(vmId).vm.state !== "running") throw new VdcError("FAILED_PRECONDITION", `VM '${vmId}' is off`);
  }

  #fence(found: MemoryVm, generation: number): void {
    if (generation >= found.highest) return;
    throw new VdcError("FAILED_PRECONDITION", `generation ${generation} is fenced`, { reason: "VDC_FENCED" });
  }

  #set(found: MemoryVm, vm: Vm): Vm {
    found.vm = vm;
    this.#tell({ type: "modified", object: vm });
    return vm;
  }

  #tell(item: WatchItem<Vm>): void {
    for (const listener of this.#listeners) listener(item);
  }
}

function mustBeSound({ disks, nics }: VmSpec): void {
  const ids = [...disks, ...nics].map(({ id }) => id);
  if (new Set(ids).size < ids.length) throw new VdcError("INVALID_ARGUMENT", "an id is there twice");
}
