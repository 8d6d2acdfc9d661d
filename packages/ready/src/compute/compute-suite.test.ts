import { createOperationContext, isVdcError, VdcError, type WatchItem } from "@vdc-os/core";
import type { Hypervisor, StorageMigrationFacet, Vm } from "@vdc-os/core/compute/v1";
import { describe } from "vitest";
import type { Mutant } from "../suite/proves-suite.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import type { ComputeInstance } from "./compute-instance.ts";
import { computeSuite } from "./compute-suite.ts";
import { MemoryHypervisor } from "./memory-hypervisor.ts";

const spec = {
  cpus: 1,
  memoryBytes: 64 << 20,
  boot: { kind: "kernel", kernel: "/none", commandLine: "quiet" },
  disks: [],
  nics: [],
} as const;

function create(): ComputeInstance {
  const implementation = new MemoryHypervisor();
  return {
    implementation,
    spec,
    greeting: "ready",
    reopen: async () => new MemoryHypervisor(implementation.host),
    async makeVolume(capacityBytes) {
      const { volumes } = implementation.host;
      const transport = { kind: "file", path: `/memory/${volumes.size}`, format: "raw" } as const;
      const content = new Uint8Array(capacityBytes);
      volumes.set(JSON.stringify(transport), content);
      return { transport, read: async () => content, write: async (bytes) => content.set(bytes) };
    },
  };
}

/** A mutant that answers some operations in another way, also after it is opened again. */
function mutant(
  breaks: string,
  how: string,
  change: (memory: MemoryHypervisor) => Partial<Hypervisor>,
): Mutant<Hypervisor, ComputeInstance> {
  const broken = (memory: MemoryHypervisor): Hypervisor => {
    const own = change(memory);
    // The reference keeps its methods on the prototype.
    return new Proxy<Hypervisor>(memory, {
      get(target, name) {
        const replaced = own[name as keyof Hypervisor];
        if (replaced !== undefined) return replaced;
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
  return {
    breaks,
    how,
    mutate(instance) {
      const memory = instance.implementation as MemoryHypervisor;
      return {
        ...instance,
        implementation: broken(memory),
        reopen: async () => broken(new MemoryHypervisor(memory.host)),
      };
    },
  };
}

/** A mutant that opens again as something else. */
function forgetful(
  breaks: string,
  how: string,
  forget: (memory: MemoryHypervisor) => void,
): Mutant<Hypervisor, ComputeInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const { host } = instance.implementation as MemoryHypervisor;
      return {
        ...instance,
        reopen: async () => {
          const opened = new MemoryHypervisor(host);
          forget(opened);
          return opened;
        },
      };
    },
  };
}

async function otherwise<T>(call: Promise<T>, value: (error: VdcError) => T | Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return value(error);
  }
}

function items(memory: MemoryHypervisor, map: (item: WatchItem<Vm>) => readonly WatchItem<Vm>[]): Partial<Hypervisor> {
  return {
    async *watchVms(input, context) {
      for await (const item of memory.watchVms(input, context)) yield* map(item);
    },
  };
}

/** A mutant whose migrations are done in another way. */
function mover(
  breaks: string,
  how: string,
  change: (facet: StorageMigrationFacet, memory: MemoryHypervisor) => Partial<StorageMigrationFacet>,
): Mutant<Hypervisor, ComputeInstance> {
  return mutant(breaks, how, (memory) => {
    const { storageMigration: facet } = memory.facets;
    if (facet === undefined) throw new Error("the reference has the facet");
    return { facets: { ...memory.facets, storageMigration: { ...facet, ...change(facet, memory) } } };
  });
}

const mutants: readonly Mutant<Hypervisor, ComputeInstance>[] = [
  mutant("compute.create.defines", "loses the owner", (memory) => ({
    createVm: ({ name, spec: given }) => memory.createVm({ name, spec: given }),
  })),
  mutant("compute.create.idempotent", "looks for the name, waits, and then creates", (memory) => ({
    async createVm(input) {
      const { vms } = memory.host;
      const present = [...vms.values()].find(({ vm }) => vm.name === input.name);
      await new Promise((resolve) => setImmediate(resolve));
      if (present !== undefined) return present.vm;
      const vm = await memory.createVm({ ...input, name: `${input.name}-${vms.size}` });
      const found = vms.get(vm.vmId);
      if (found !== undefined) found.vm = { ...vm, name: input.name };
      return { ...vm, name: input.name };
    },
  })),
  mutant("compute.create.conflict", "returns the VM of that name, whatever its spec", (memory) => ({
    createVm: (input) =>
      otherwise(memory.createVm(input), () => {
        const [found] = [...memory.host.vms.values()].filter(({ vm }) => vm.name === input.name);
        return (found as { vm: Vm }).vm;
      }),
  })),
  mutant("compute.get.absent", "makes up a VM that is off", (memory) => ({
    getVm: ({ vmId }) => otherwise(memory.getVm({ vmId }), () => ({ vmId, name: "none", spec, state: "off" })),
  })),
  mutant("compute.delete.forgets", "uses ids again", (memory) => ({
    async deleteVm(input) {
      await memory.deleteVm(input);
      memory.host.nextId -= 1;
    },
  })),
  mutant("compute.delete.absent", "fails for what is absent", (memory) => ({
    async deleteVm(input, context) {
      await otherwise(memory.getVm(input), () => {
        throw new VdcError("FAILED_PRECONDITION", "it is absent");
      });
      await memory.deleteVm(input);
      void context;
    },
  })),
  mutant("compute.delete.running", "pulls the plug of what it deletes", (memory) => ({
    async deleteVm({ vmId }) {
      await memory.stopVm({ vmId, mode: "hard" });
      await memory.deleteVm({ vmId });
    },
  })),
  mutant("compute.list.paging", "begins a page with the last VM of the page before", (memory) => ({
    listVms: (input) => {
      const last = /^after vm-(\d+)$/.exec(input.pageToken ?? "")?.[1];
      return memory.listVms(last === undefined ? input : { ...input, pageToken: `after vm-${Number(last) - 1}` });
    },
  })),
  mutant("compute.list.token", "begins again when it does not know a page token", (memory) => ({
    listVms: (input) => otherwise(memory.listVms(input), () => memory.listVms({})),
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
      await memory.stopVm({ vmId: input.vmId, mode: "hard" });
      return memory.startVm(input, context);
    },
  })),
  mutant("compute.start.absent", "starts nothing, and says so nowhere", (memory) => ({
    startVm: (input, context) =>
      otherwise(memory.startVm(input, context), (error) => {
        if (error.code !== "NOT_FOUND") throw error;
        return { vmId: input.vmId, name: "none", spec, state: "off" };
      }),
  })),
  mutant("compute.start.fenced", "forgets the generation of a VM that is off", (memory) => ({
    async stopVm(input) {
      const stopped = await memory.stopVm(input);
      const found = memory.host.vms.get(input.vmId);
      if (found !== undefined) found.highest = 0;
      return stopped;
    },
  })),
  mutant("compute.start.cancel", "leaves a VM that was cancelled in the middle of its start", (memory) => ({
    async startVm(input, context) {
      const found = memory.host.vms.get(input.vmId);
      if (found?.vm.state === "starting") throw new VdcError("ABORTED", "it is being started");
      return otherwise(memory.startVm(input, context), (error) => {
        if (found !== undefined && error.code === "CANCELLED") found.vm = { ...found.vm, state: "starting" };
        throw error;
      });
    },
    async stopVm(input) {
      const found = memory.host.vms.get(input.vmId);
      return found?.vm.state === "starting" ? found.vm : memory.stopVm(input);
    },
  })),
  mutant("compute.stop.hard", "answers before the VM has stopped", (memory) => ({
    async stopVm(input) {
      void memory.stopVm(input);
      return memory.getVm(input);
    },
  })),
  mutant("compute.stop.off", "can't stop what is off", (memory) => ({
    async stopVm(input) {
      if ((await memory.getVm(input)).state === "off") throw new VdcError("FAILED_PRECONDITION", "it is off");
      return memory.stopVm(input);
    },
  })),
  mutant("compute.stop.absent", "stops what is not there", (memory) => ({
    stopVm: (input) =>
      otherwise(memory.stopVm(input), (error) => {
        if (error.code !== "NOT_FOUND") throw error;
        return { vmId: input.vmId, name: "none", spec, state: "off" };
      }),
  })),
  mutant("compute.stop.guest", "waits for the guest for ever", (memory) => ({
    stopVm: (input) => (input.mode === "guest" ? new Promise(() => {}) : memory.stopVm(input)),
  })),
  mutant("compute.stop.fenced", "stops a VM for anybody", (memory) => ({
    stopVm: ({ vmId, mode }) => memory.stopVm({ vmId, mode }),
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
      otherwise(memory.vmStatistics({ vmId }), () => ({ vmId, at: 0, cpuTimeMs: 0, residentBytes: 0, disks: [] })),
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
  mover("compute.migration.moves", "forgets to put the target into the spec", (facet, memory) => ({
    async completeDiskMigration(input, context) {
      const found = memory.host.vms.get(input.vmId);
      const spec = found?.vm.spec;
      const done = await facet.completeDiskMigration(input, context);
      if (found !== undefined && spec !== undefined) found.vm = { ...found.vm, spec };
      return done;
    },
  })),
  mover("compute.migration.idempotent", "gives up one migration for another", (facet, memory) => ({
    async startDiskMigration(input, context) {
      const key = `${input.vmId}/${input.diskId}`;
      if (memory.host.migrations.get(key)?.migrationId !== input.migrationId) memory.host.migrations.delete(key);
      return facet.startDiskMigration(input, context);
    },
  })),
  mover("compute.migration.cancel", "forgets what was cancelled", (facet, memory) => ({
    async cancelDiskMigration(input, context) {
      await facet.cancelDiskMigration(input, context);
      memory.host.migrations.delete(`${input.vmId}/${input.diskId}`);
    },
  })),
  mover("compute.migration.done", "says that it has cancelled what is done", (facet) => ({
    cancelDiskMigration: (input, context) => otherwise(facet.cancelDiskMigration(input, context), () => undefined),
  })),
  mover("compute.migration.fenced", "moves disks for anybody", (facet, memory) => ({
    startDiskMigration: (input, context) =>
      facet.startDiskMigration({ ...input, generation: memory.host.vms.get(input.vmId)?.highest ?? 1 }, context),
  })),
  mover("compute.migration.ends", "is ready although the VM has ended", (facet, memory) => ({
    async startDiskMigration(input, context) {
      const found = memory.host.migrations.get(`${input.vmId}/${input.diskId}`);
      return found?.migrationId === input.migrationId ? found : facet.startDiskMigration(input, context);
    },
  })),
  forgetful("compute.migration.reopen", "forgets migrations", ({ host }) => host.migrations.clear()),
  mutant("compute.copy.copies", "leaves out what is zero", (memory) => ({
    facets: {
      ...memory.facets,
      diskCopy: {
        async copyDisk({ source, target }) {
          const { volumes } = memory.host;
          const into = volumes.get(JSON.stringify(target));
          volumes.get(JSON.stringify(source))?.forEach((byte, at) => {
            if (into !== undefined && byte !== 0) into[at] = byte;
          });
        },
      },
    },
  })),
];

describe("the compute suite", () => {
  describeProof(computeSuite, { create, mutants });
  describe("the reference", () => describeSuite(computeSuite, { create }));
});
