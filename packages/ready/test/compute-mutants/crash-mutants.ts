import type { MemoryVm } from "../../src/compute/memory-hypervisor.ts";
import { MemoryHypervisor } from "../../src/compute/memory-hypervisor.ts";
import { type ComputeMutant, forgetful } from "./build-mutant.ts";

/** A hypervisor that finds VMs again which it had forgotten. */
const resurrecting: ComputeMutant = {
  breaks: "compute.crash.delete",
  how: "forgets a VM in memory, and leaves its record",
  mutate(instance) {
    const { host } = instance.implementation as MemoryHypervisor;
    const left = new Map<string, MemoryVm>();
    const remember = (): void => {
      for (const [vmId, found] of host.vms) left.set(vmId, found);
    };
    const remove = host.vms.delete.bind(host.vms);
    host.vms.delete = (vmId) => {
      remember();
      return remove(vmId);
    };
    return {
      ...instance,
      async reopen() {
        for (const [vmId, found] of left) host.vms.set(vmId, found);
        return new MemoryHypervisor(host);
      },
    };
  },
};

/** What breaks calls that the hypervisor's end cuts off. */
export const crashMutants: readonly ComputeMutant[] = [
  forgetful("compute.crash.create", "forgets the VM that was defined last", ({ host }) => {
    host.vms.delete([...host.vms.keys()].at(-1) ?? "");
  }),
  resurrecting,
  forgetful("compute.crash.start", "takes what runs for off", ({ host }) => {
    for (const found of host.vms.values()) found.vm = { ...found.vm, state: "off" };
  }),
  forgetful("compute.crash.stop", "runs again what was stopped", ({ host }) => {
    for (const found of host.vms.values()) {
      if (found.console !== "") found.vm = { ...found.vm, state: "running", startedAt: Date.now() };
    }
  }),
];
