import { createOperationContext, VdcError } from "@vdc-os/core";
import type { Vm } from "@vdc-os/core/compute/v1";
import { forgiving } from "../build-mutant.ts";
import { type ComputeMutant, forgetful, items, mutant, spec } from "./build-mutant.ts";

const context = createOperationContext();

/** What breaks defining, running and watching VMs, and finding them again. */
export const machineMutants: readonly ComputeMutant[] = [
  mutant("compute.create.defines", "loses the owner", (memory) => ({
    createVm: ({ name, spec: given }) => memory.createVm({ name, spec: given }, context),
  })),
  mutant("compute.create.idempotent", "looks for the name, waits, and then creates", (memory) => ({
    async createVm(input) {
      const { vms } = memory.host;
      const present = [...vms.values()].find(({ vm }) => vm.name === input.name);
      await new Promise((resolve) => setImmediate(resolve));
      if (present !== undefined) return present.vm;
      const vm = await memory.createVm({ ...input, name: `${input.name}-${vms.size}` }, context);
      const found = vms.get(vm.vmId);
      if (found !== undefined) found.vm = { ...vm, name: input.name };
      return { ...vm, name: input.name };
    },
  })),
  mutant("compute.create.conflict", "returns the VM of that name, whatever its spec", (memory) => ({
    createVm: (input) =>
      forgiving(memory.createVm(input, context), () => {
        const [found] = [...memory.host.vms.values()].filter(({ vm }) => vm.name === input.name);
        return (found as { vm: Vm }).vm;
      }),
  })),
  mutant("compute.get.absent", "makes up a VM that is off", (memory) => ({
    getVm: ({ vmId }) => forgiving(memory.getVm({ vmId }), () => ({ vmId, name: "none", spec, state: "off" })),
  })),
  mutant("compute.delete.forgets", "uses ids again", (memory) => ({
    async deleteVm(input) {
      await memory.deleteVm(input, context);
      memory.host.nextId -= 1;
    },
  })),
  mutant("compute.delete.absent", "fails for what is absent", (memory) => ({
    async deleteVm(input, context) {
      await forgiving(memory.getVm(input), () => {
        throw new VdcError("FAILED_PRECONDITION", "it is absent");
      });
      await memory.deleteVm(input, context);
      void context;
    },
  })),
  mutant("compute.delete.running", "pulls the plug of what it deletes", (memory) => ({
    async deleteVm({ vmId }) {
      await memory.stopVm({ vmId, mode: "hard" }, context);
      await memory.deleteVm({ vmId }, context);
    },
  })),
  mutant("compute.list.paging", "begins a page with the last VM of the page before", (memory) => {
    let last: Vm | undefined;
    return {
      async listVms(input) {
        const page = await memory.listVms(input);
        const items = input.pageToken === undefined || last === undefined ? page.items : [last, ...page.items];
        last = page.items.at(-1);
        return { ...page, items: items.slice(0, input.limit) };
      },
    };
  }),
  mutant("compute.list.token", "begins again when it does not know a page token", (memory) => ({
    listVms: (input) => forgiving(memory.listVms(input), () => memory.listVms({})),
  })),
  mutant("compute.list.filter", "looks at the datacenter on the first page only", (memory) => ({
    listVms: ({ ownerDatacenter, ...rest }) =>
      memory.listVms(
        rest.pageToken === undefined && ownerDatacenter !== undefined ? { ...rest, ownerDatacenter } : rest,
      ),
  })),
  mutant("compute.start.runs", "answers while it is still starting", (memory) => ({
    startVm: async (input, context) => ({ ...(await memory.startVm(input, context)), state: "starting" }),
  })),
  mutant("compute.start.idempotent", "starts what runs anew", (memory) => ({
    async startVm(input, context) {
      await memory.stopVm({ vmId: input.vmId, mode: "hard" }, context);
      return memory.startVm(input, context);
    },
  })),
  mutant("compute.start.absent", "starts nothing, and says so nowhere", (memory) => ({
    startVm: (input, context) =>
      forgiving(memory.startVm(input, context), (error) => {
        if (error.code !== "NOT_FOUND") throw error;
        return { vmId: input.vmId, name: "none", spec, state: "off" };
      }),
  })),
  mutant("compute.start.fenced", "forgets the generation of a VM that is off", (memory) => ({
    async stopVm(input) {
      const stopped = await memory.stopVm(input, context);
      const found = memory.host.vms.get(input.vmId);
      if (found !== undefined) found.highest = 0;
      return stopped;
    },
  })),
  mutant("compute.start.cancel", "leaves a VM that was cancelled in the middle of its start", (memory) => ({
    async startVm(input, context) {
      const found = memory.host.vms.get(input.vmId);
      if (found?.vm.state === "starting") throw new VdcError("ABORTED", "it is being started");
      return forgiving(memory.startVm(input, context), (error) => {
        if (found !== undefined && error.code === "CANCELLED") found.vm = { ...found.vm, state: "starting" };
        throw error;
      });
    },
    async stopVm(input) {
      const found = memory.host.vms.get(input.vmId);
      return found?.vm.state === "starting" ? found.vm : memory.stopVm(input, context);
    },
  })),
  mutant("compute.stop.hard", "answers before the VM has stopped", (memory) => ({
    async stopVm(input) {
      void memory.stopVm(input, context);
      return memory.getVm(input);
    },
  })),
  mutant("compute.stop.off", "can't stop what is off", (memory) => ({
    async stopVm(input) {
      if ((await memory.getVm(input)).state === "off") throw new VdcError("FAILED_PRECONDITION", "it is off");
      return memory.stopVm(input, context);
    },
  })),
  mutant("compute.stop.absent", "stops what is not there", (memory) => ({
    stopVm: (input) =>
      forgiving(memory.stopVm(input, context), (error) => {
        if (error.code !== "NOT_FOUND") throw error;
        return { vmId: input.vmId, name: "none", spec, state: "off" };
      }),
  })),
  mutant("compute.stop.guest", "waits for the guest for ever", (memory) => ({
    stopVm: (input) => (input.mode === "guest" ? new Promise(() => {}) : memory.stopVm(input, context)),
  })),
  mutant("compute.stop.fenced", "stops a VM for anybody", (memory) => ({
    stopVm: ({ vmId, mode }) => memory.stopVm({ vmId, mode }, context),
  })),
  mutant("compute.console.follow", "follows a console for ever", (memory) => ({
    async *readConsole(input, context) {
      yield* memory.readConsole({ vmId: input.vmId, follow: false }, context);
      if (input.follow === true) await new Promise(() => {});
    },
  })),
  mutant("compute.console.offsets", "counts characters where it should count bytes", (memory) => ({
    async *readConsole({ vmId, offset = 0, follow = false }, context) {
      let whole = "";
      for await (const { text } of memory.readConsole({ vmId, follow }, context)) {
        whole += text;
        if (follow) yield { offset: 0, text };
      }
      if (!follow && whole.length > offset) yield { offset, text: whole.slice(offset) };
    },
  })),
  mutant("compute.console.cancel", "does not hear that it is cancelled", (memory) => ({
    readConsole: (input) => memory.readConsole(input, createOperationContext()),
  })),
  mutant("compute.console.absent", "gives an empty console for what is not there", (memory) => ({
    async *readConsole(input, context) {
      if (memory.host.vms.has(input.vmId)) yield* memory.readConsole(input, context);
    },
  })),
  mutant("compute.console.write", "swallows what is typed into a VM that is off", () => ({
    writeConsole: async () => {},
  })),
  mutant("compute.watch.level", "does not tell that a VM is gone", (memory) =>
    items(memory, (item) => (item.type === "deleted" ? [] : [item])),
  ),
  mutant("compute.watch.cancel", "does not hear that it is cancelled", (memory) => ({
    watchVms: (input) => memory.watchVms(input, createOperationContext()),
  })),
  mutant("compute.statistics.running", "tells zeroes of a VM that is off", (memory) => ({
    vmStatistics: ({ vmId }) =>
      forgiving(memory.vmStatistics({ vmId }), () => ({ vmId, at: 0, cpuTimeMs: 0, residentBytes: 0, disks: [] })),
  })),
  mutant("compute.inventory.promised", "counts VMs that are off too", (memory) => ({
    async computeInventory() {
      const promisedMemoryBytes = memory.host.vms.size * spec.memoryBytes;
      return { ...(await memory.computeInventory()), promisedMemoryBytes };
    },
  })),
  mutant("compute.inventory.evidence", "gives no evidence", (memory) => ({
    computeInventory: async () => ({
      ...(await memory.computeInventory()),
      accelerator: { kind: "kvm", evidence: "" },
    }),
  })),
  forgetful("compute.reopen.adopts", "starts what ran anew", ({ host }) => {
    for (const found of host.vms.values()) {
      if (found.vm.state === "running") found.vm = { ...found.vm, startedAt: Date.now() + 5_000 };
    }
  }),
  forgetful("compute.reopen.fenced", "remembers the generation of the last start only", ({ host }) => {
    for (const found of host.vms.values()) found.highest = found.vm.generation ?? 0;
  }),
  forgetful("compute.reopen.defined", "forgets VMs that are off", ({ host }) => {
    for (const [vmId, { vm }] of host.vms) if (vm.state === "off") host.vms.delete(vmId);
  }),
];
