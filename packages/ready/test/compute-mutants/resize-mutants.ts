import { VdcError } from "@vdc-os/core";
import { forgiving } from "../build-mutant.ts";
import { type ComputeMutant, forgetful, mutant, resizer } from "./build-mutant.ts";

/** What breaks showing guests the sizes of their disks. */
export const resizeMutants: readonly ComputeMutant[] = [
  resizer("compute.resize.grows", "tells the guest nothing", (facet, memory) => ({
    async resizeDisk(input, context) {
      const sizes = memory.host.vms.get(input.vmId)?.sizes;
      const seen = sizes?.get(input.diskId) ?? 0;
      await facet.resizeDisk(input, context);
      sizes?.set(input.diskId, seen);
    },
  })),
  resizer("compute.resize.grows", "starts the VM anew", (facet, memory) => ({
    async resizeDisk(input, context) {
      await facet.resizeDisk(input, context);
      await memory.stopVm({ vmId: input.vmId, mode: "hard" }, context);
      await memory.startVm({ vmId: input.vmId, generation: input.generation }, context);
    },
  })),
  resizer("compute.resize.keeps", "gives the guest an empty disk", (facet, memory) => ({
    async resizeDisk(input, context) {
      await facet.resizeDisk(input, context);
      for (const content of memory.host.volumes.values()) content.fill(0);
    },
  })),
  resizer("compute.resize.idempotent", "grows a disk once", (facet, memory) => ({
    async resizeDisk(input, context) {
      const seen = memory.host.vms.get(input.vmId)?.sizes.get(input.diskId);
      if (seen === input.capacityBytes) throw new VdcError("FAILED_PRECONDITION", "it has that size");
      return facet.resizeDisk(input, context);
    },
  })),
  resizer("compute.resize.smaller", "shows a smaller disk", (facet, memory) => ({
    async resizeDisk(input, context) {
      await forgiving(facet.resizeDisk(input, context), (error) => {
        if (error.code !== "OUT_OF_RANGE") throw error;
        memory.host.vms.get(input.vmId)?.sizes.set(input.diskId, input.capacityBytes);
      });
    },
  })),
  resizer("compute.resize.volume", "shows whatever size it is told", (facet, memory) => ({
    async resizeDisk(input, context) {
      const sizes = memory.host.vms.get(input.vmId)?.sizes;
      if (sizes !== undefined && (sizes.get(input.diskId) ?? 0) < input.capacityBytes) {
        sizes.set(input.diskId, input.capacityBytes);
      }
      return facet.resizeDisk(input, context);
    },
  })),
  mutant("compute.resize.stays", "starts a VM with the sizes that it was started with first", (memory) => {
    const first = new Map<string, number>();
    return {
      async startVm(input, context) {
        const vm = await memory.startVm(input, context);
        const sizes = memory.host.vms.get(input.vmId)?.sizes ?? new Map<string, number>();
        for (const [diskId, size] of sizes) {
          if (!first.has(diskId)) first.set(diskId, size);
          sizes.set(diskId, first.get(diskId) ?? size);
        }
        return vm;
      },
    };
  }),
  forgetful("compute.resize.reopen", "forgets what guests see", ({ host }) => {
    for (const { sizes } of host.vms.values()) sizes.clear();
  }),
  resizer("compute.resize.fenced", "grows disks for anybody", (facet, memory) => ({
    resizeDisk: (input, context) =>
      facet.resizeDisk({ ...input, generation: memory.host.vms.get(input.vmId)?.highest ?? 1 }, context),
  })),
  resizer("compute.resize.absent", "says that it has told a VM that is off", (facet, memory) => ({
    async resizeDisk(input, context) {
      if (memory.host.vms.get(input.vmId)?.vm.state === "off") return;
      await facet.resizeDisk(input, context);
    },
  })),
  resizer("compute.resize.absent", "grows the first disk when it does not know one", (facet) => ({
    resizeDisk: (input, context) =>
      forgiving(facet.resizeDisk(input, context), (error) => {
        if (error.code !== "NOT_FOUND") throw error;
      }),
  })),
];
