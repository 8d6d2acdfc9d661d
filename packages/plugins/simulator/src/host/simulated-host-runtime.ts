import { type Description, type Json, type OperationContext, toVdcError, VdcError, type WatchItem } from "@vdc-os/core";
import {
  type EnsureProcess,
  type HostInventory,
  type HostRuntime,
  hostRuntime,
  type ProcessStatus,
} from "@vdc-os/core/host/v1";
import type { SimulatedHostSpec } from "../compute/simulated-hypervisor.ts";
import { ChangeFeed } from "../world/change-feed.ts";
import { describeSimulated } from "../world/simulated-description.ts";
import type { WorldServices } from "../world/world-services.ts";

interface ProcessRecord {
  readonly spec: EnsureProcess;
  status: ProcessStatus;
  log: string;
}

/** The runtime of a simulated host: it keeps a list of processes, and runs none. */
export class SimulatedHostRuntime implements HostRuntime {
  readonly #host: Required<SimulatedHostSpec>;
  readonly #world: WorldServices;
  readonly #processes: Map<string, ProcessRecord> = new Map();
  readonly #feed: ChangeFeed<ProcessStatus> = new ChangeFeed();
  #bootId: string;

  constructor(host: Required<SimulatedHostSpec>, world: WorldServices) {
    this.#host = host;
    this.#world = world;
    this.#bootId = world.nextId("boot");
  }

  async describe(): Promise<Description> {
    const { name, failureDomain } = this.#host;
    return describeSimulated(hostRuntime, { available: {}, attributes: { host: name, failureDomain } });
  }

  async inventory(): Promise<HostInventory> {
    const { name, failureDomain, cpus, memoryBytes } = this.#host;
    return {
      hostId: name,
      bootId: this.#bootId,
      address: `${name}.simulated.invalid`,
      failureDomain,
      cpus,
      memoryBytes,
      directory: `/simulated/${this.#world.name}/${name}`,
    };
  }

  async ensureProcess(input: EnsureProcess): Promise<ProcessStatus> {
    const { processId, owner } = input;
    const present = this.#processes.get(processId);
    if (present !== undefined && JSON.stringify(present.spec) === JSON.stringify(input)) return present.status;
    const status: ProcessStatus = {
      processId,
      owner,
      state: "running",
      startedAt: this.#world.clock.now(),
      restarts: present === undefined ? 0 : present.status.restarts + 1,
    };
    const log = `simulated: '${processId}' is on the list of processes, and nothing runs\n`;
    this.#processes.set(processId, { spec: input, status, log });
    this.#feed.tell(present === undefined ? "added" : "modified", processId, status);
    return status;
  }

  async removeProcess({ processId }: { readonly processId: string }): Promise<void> {
    const present = this.#processes.get(processId);
    if (present === undefined) return;
    this.#processes.delete(processId);
    this.#feed.tell("deleted", processId, present.status);
  }

  async listProcesses({ ownerDatacenter }: { readonly ownerDatacenter?: string }): Promise<readonly ProcessStatus[]> {
    const all = [...this.#processes.values()].map(({ status }) => status);
    return all.filter(({ owner }) => ownerDatacenter === undefined || owner.datacenter === ownerDatacenter);
  }

  watchProcesses(
    _input: Readonly<Record<never, never>>,
    context: OperationContext,
  ): AsyncIterable<WatchItem<ProcessStatus>> {
    return this.#feed.watch(() => [...this.#processes.values()].map(({ status }) => status), context.signal);
  }

  async request({ processId, method }: { readonly processId: string; readonly method: string }): Promise<Json> {
    this.#find(processId);
    throw new VdcError("UNIMPLEMENTED", `'${processId}' is simulated: nothing runs that could answer '${method}'`);
  }

  async *readLog(
    input: { readonly processId: string; readonly offset?: number; readonly follow?: boolean },
    context: OperationContext,
  ): AsyncGenerator<{ readonly offset: number; readonly text: string }> {
    const { log } = this.#find(input.processId);
    const offset = Math.min(input.offset ?? 0, log.length);
    if (offset < log.length) yield { offset, text: log.slice(offset) };
    if (input.follow !== true) return;
    const { signal } = context;
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    throw toVdcError(signal.reason);
  }

  /** The host boots anew: its processes are gone, and it has another boot id. */
  reboot(): void {
    this.removeAll(undefined);
    this.#bootId = this.#world.nextId("boot");
  }

  /** Forgets the processes that a datacenter stamped; without one, all. */
  removeAll(datacenter: string | undefined): void {
    for (const [processId, { status }] of [...this.#processes]) {
      if (datacenter !== undefined && status.owner.datacenter !== datacenter) continue;
      this.#processes.delete(processId);
      this.#feed.tell("deleted", processId, status);
    }
  }

  #find(processId: string): ProcessRecord {
    const found = this.#processes.get(processId);
    if (found === undefined)
      throw new VdcError("NOT_FOUND", `there is no process '${processId}' on host '${this.#host.name}'`);
    return found;
  }
}
