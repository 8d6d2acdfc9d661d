import { EventEmitter, once } from "node:events";
import { type WatchItem, VdcError } from "@vdc-os/core";
import type { CreateVm, Vm } from "@vdc-os/core/compute/v1";

/** What tells that a VM came, changed or went. */
export type VmChange = WatchItem<Vm> & { readonly object: Vm };

/** What the host keeps of a VM. */
export interface HostVm {
  /** As it is now. */
  readonly vm: Vm;
  /** The highest owner's generation that was seen. It never falls: this is the fence. */
  readonly highest: number;
  /** What the guest wrote since it was started. */
  readonly console: string;
}

const hosts = new Map<string, MemoryHost>();

/**
 * Stands in for the host that the plugin is for, until that takes its place. It is in memory, and only pretends to run VMs: a guest says `ready`, and echoes
 * what is typed. They outlive the plugin as VMs do.
 */
export class MemoryHost {
  readonly cpus: number = 4;
  readonly memoryBytes: number = 16 * 2 ** 30;
  readonly vms: Map<string, HostVm> = new Map();
  readonly #events = new EventEmitter<{ changed: [VmChange] }>().setMaxListeners(0);

  /** The host at an address. */
  static at(address: string): MemoryHost {
    const host = hosts.get(address) ?? new MemoryHost();
    hosts.set(address, host);
    return host;
  }

  /** Memory of VMs that run. */
  get promisedMemoryBytes(): number {
    const running = [...this.vms.values()].filter(({ vm }) => vm.state === "running");
    return running.reduce((bytes, { vm }) => bytes + vm.spec.memoryBytes, 0);
  }

  /** A VM. Throws `NOT_FOUND`. */
  get(vmId: string): HostVm {
    const found = this.vms.get(vmId);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no VM '${vmId}'`);
    return found;
  }

  /** A VM that runs. Throws `FAILED_PRECONDITION` besides. */
  running(vmId: string): HostVm {
    const found = this.get(vmId);
    if (found.vm.state !== "running") throw new VdcError("FAILED_PRECONDITION", `VM '${vmId}' is ${found.vm.state}`);
    return found;
  }

  define(vmId: string, asked: CreateVm): Vm {
    const vm: Vm = { vmId, ...asked, state: "off" };
    this.vms.set(vmId, { vm, highest: 0, console: "" });
    this.#events.emit("changed", { type: "added", object: vm });
    return vm;
  }

  /** Changes what is kept of a VM. */
  change(vmId: string, changes: Partial<HostVm>): Vm {
    const changed = { ...this.get(vmId), ...changes };
    this.vms.set(vmId, changed);
    this.#events.emit("changed", { type: "modified", object: changed.vm });
    return changed.vm;
  }

  forget(vmId: string): void {
    const { vm } = this.get(vmId);
    this.vms.delete(vmId);
    this.#events.emit("changed", { type: "deleted", object: vm });
  }

  /** Hears of each change, until the returned function is called. */
  listen(listener: (change: VmChange) => void): () => void {
    this.#events.on("changed", listener);
    return () => void this.#events.off("changed", listener);
  }

  /** Resolves at the next change, or when the signal aborts. */
  async nextChange(signal: AbortSignal): Promise<void> {
    await once(this.#events, "changed", { signal }).catch(() => undefined);
  }
}
