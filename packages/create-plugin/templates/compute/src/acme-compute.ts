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
import type {
  ComputeFacets,
  ComputeInventory,
  CreateVm,
  Hypervisor,
  Vm,
  VmSpec,
  VmStatistics,
} from "@vdc-os/core/compute/v1";
import { facetAvailability, facetsOf } from "./facets.ts";
import type { HostVm, MemoryHost, VmChange } from "./memory-host.ts";
import { version } from "./version.ts";

type Input<Name extends Exclude<keyof Hypervisor, "facets">> = Parameters<Hypervisor[Name]>[0];

/** The vCompute API on the host. No call waits for anything while it changes a VM, so that no two changes can meet. */
export class AcmeCompute implements Hypervisor {
  readonly facets: ComputeFacets;
  readonly #host: MemoryHost;

  constructor(host: MemoryHost) {
    this.facets = facetsOf(host);
    this.#host = host;
  }

  async describe(): Promise<Description> {
    return {
      implementation: { name: "@acme/vdc-compute", version, simulated: true },
      facets: facetAvailability,
      attributes: {},
    };
  }

  async computeInventory(): Promise<ComputeInventory> {
    const { cpus, memoryBytes, promisedMemoryBytes } = this.#host;
    const accelerator = { kind: "none", evidence: "nothing really runs in memory" };
    return { cpus, memoryBytes, promisedMemoryBytes, accelerator, monitorVersion: version };
  }

  async createVm(asked: CreateVm, context: OperationContext): Promise<Vm> {
    refuseWhenOver(context);
    const { name, spec, owner } = asked;
    refuseRepeatedIds(spec);
    const present = this.#vms().find((vm) => vm.name === name);
    if (present === undefined) return this.#host.define(context.random.uuid(), asked);
    if (isDeepStrictEqual([present.spec, present.owner], [spec, owner])) return present;
    throw new VdcError("ALREADY_EXISTS", `there is a VM '${name}' of another spec`);
  }

  async deleteVm({ vmId }: Input<"deleteVm">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const vm = this.#host.vms.get(vmId)?.vm;
    if (vm === undefined) return;
    if (vm.state !== "off") throw new VdcError("FAILED_PRECONDITION", `VM '${vm.name}' is ${vm.state}: stop it first`);
    this.#host.forget(vmId);
  }

  async getVm({ vmId }: Input<"getVm">): Promise<Vm> {
    return this.#host.get(vmId).vm;
  }

  async listVms(input: Input<"listVms">): Promise<Page<Vm>> {
    const { ownerDatacenter, name } = input;
    const found = this.#vms()
      .filter((vm) => name === undefined || vm.name === name)
      .filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter);
    return pageByKey(found, ({ vmId }) => vmId, input);
  }

  async *watchVms(_input: Input<"watchVms">, { signal }: OperationContext): AsyncGenerator<WatchItem<Vm>> {
    // The latest change of each VM: whoever reads slowly gets fewer items, never an older state.
    const untold = new Map(this.#vms().map((vm): [string, VmChange] => [vm.vmId, { type: "added", object: vm }]));
    const stop = this.#host.listen((change) => untold.set(change.object.vmId, change));
    try {
      while (!signal.aborted) {
        const [change] = untold.values();
        if (change === undefined) {
          await this.#host.nextChange(signal);
          continue;
        }
        untold.delete(change.object.vmId);
        yield change;
      }
    } finally {
      stop();
    }
  }

  async startVm({ vmId, generation }: Input<"startVm">, context: OperationContext): Promise<Vm> {
    refuseWhenOver(context);
    const { vm } = this.#notFenced(vmId, generation);
    if (vm.state === "running") return this.#host.change(vmId, { vm: { ...vm, generation }, highest: generation });
    const { memoryBytes, promisedMemoryBytes } = this.#host;
    if (vm.spec.memoryBytes > memoryBytes - promisedMemoryBytes) {
      throw new VdcError("RESOURCE_EXHAUSTED", `${memoryBytes - promisedMemoryBytes} bytes of memory are free`);
    }
    const started: Vm = { ...vm, state: "running", generation, startedAt: context.clock.now() };
    return this.#host.change(vmId, { vm: started, highest: generation, console: "ready\n" });
  }

  async stopVm({ vmId, generation }: Input<"stopVm">, context: OperationContext): Promise<Vm> {
    refuseWhenOver(context);
    // A stop without a generation comes from an operator, and always works.
    const { vm, highest } = generation === undefined ? this.#host.get(vmId) : this.#notFenced(vmId, generation);
    const { startedAt: _, ...stopped } = vm;
    return this.#host.change(vmId, { vm: { ...stopped, state: "off" }, highest: generation ?? highest });
  }

  async *readConsole(
    { vmId, offset = 0, follow = false }: Input<"readConsole">,
    context: OperationContext,
  ): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
    for (let at = offset; ; ) {
      refuseWhenOver(context);
      const { vm, console } = this.#host.get(vmId);
      const unread = Buffer.from(console).subarray(at);
      if (unread.length > 0) {
        yield { offset: at, text: unread.toString() };
        at += unread.length;
      } else {
        if (!follow || vm.state !== "running") return;
        await this.#host.nextChange(context.signal);
      }
    }
  }

  async writeConsole({ vmId, text }: Input<"writeConsole">, context: OperationContext): Promise<void> {
    refuseWhenOver(context);
    const { console } = this.#host.running(vmId);
    this.#host.change(vmId, { console: console + text });
  }

  async vmStatistics({ vmId }: Input<"vmStatistics">, { clock }: OperationContext): Promise<VmStatistics> {
    const { vm } = this.#host.running(vmId);
    const at = clock.now();
    return { vmId, at, cpuTimeMs: at - (vm.startedAt ?? at), residentBytes: vm.spec.memoryBytes, disks: [] };
  }

  #vms(): readonly Vm[] {
    return [...this.#host.vms.values()].map(({ vm }) => vm);
  }

  /** A VM, unless a higher generation than this one was seen. */
  #notFenced(vmId: string, generation: number): HostVm {
    const found = this.#host.get(vmId);
    if (generation >= found.highest) return found;
    const message = `VM '${vmId}' has seen generation ${found.highest}: ${generation} is fenced`;
    throw new VdcError("FAILED_PRECONDITION", message, { reason: "VDC_FENCED" });
  }
}

function refuseRepeatedIds({ disks, nics }: VmSpec): void {
  const ids = [...disks, ...nics].map(({ id }) => id);
  const repeated = ids.find((id, at) => ids.indexOf(id) < at);
  if (repeated !== undefined) throw new VdcError("INVALID_ARGUMENT", `the id '${repeated}' is there twice`);
}
