import { createOperationContext, refuseWhenOver, VdcError } from "@vdc-os/core";
import { forgiving } from "../build-mutant.ts";
import { type ComputeMutant, mutant, spec } from "./build-mutant.ts";

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What calls that come together, are given up or come too late, and strange input break. */
export const robustnessMutants: readonly ComputeMutant[] = [
  mutant("compute.concurrent.vms", "looks for a free id, waits, and takes it", (memory) => ({
    async createVm(input, context) {
      const free = memory.host.nextId;
      await turns(1);
      memory.host.nextId = free;
      return memory.createVm(input, context);
    },
  })),
  mutant("compute.concurrent.create", "looks for the name, waits, and makes a VM", (memory) => ({
    async createVm(input, context) {
      const { vms } = memory.host;
      if ([...vms.values()].some(({ vm }) => vm.name === input.name)) return memory.createVm(input, context);
      await turns(1);
      const made = await memory.createVm({ ...input, name: `${input.name}-${vms.size}` }, context);
      const found = vms.get(made.vmId);
      if (found !== undefined) found.vm = { ...made, name: input.name };
      return { ...made, name: input.name };
    },
  })),
  mutant("compute.concurrent.owners", "compares the generation, waits, and lets the last one win", (memory) => {
    let waiting = 0;
    return {
      async startVm(input, context) {
        const found = memory.host.vms.get(input.vmId);
        if (input.generation < (found?.highest ?? 0)) return memory.startVm(input, context);
        waiting += 1;
        await turns(3 * waiting);
        if (found !== undefined) found.highest = 0;
        return memory.startVm(input, context);
      },
    };
  }),
  mutant("compute.concurrent.start-stop", "leaves a VM stopping that is started meanwhile", (memory) => {
    let starts = 0;
    return {
      async startVm(input, context) {
        starts += 1;
        return memory.startVm(input, context).finally(() => {
          starts -= 1;
        });
      },
      async stopVm(input, context) {
        const isStarting = starts > 0;
        const stopped = await memory.stopVm(input, context);
        const found = memory.host.vms.get(input.vmId);
        if (isStarting && found !== undefined) found.vm = { ...found.vm, state: "stopping" };
        return stopped;
      },
    };
  }),
  mutant("compute.concurrent.start-delete", "looks whether a VM runs, waits, and forgets it", (memory) => ({
    async deleteVm(input, context) {
      if (memory.host.vms.get(input.vmId)?.vm.state !== "off") return memory.deleteVm(input, context);
      await turns(3);
      memory.host.vms.delete(input.vmId);
    },
  })),
  mutant("compute.cancel.create", "leaves what it has made for a VM that is not wanted any more", (memory) => ({
    async createVm(input, context) {
      await turns(1);
      if (context.signal.aborted) {
        await memory.createVm({ ...input, name: `${input.name}-lost` }, createOperationContext());
      }
      return memory.createVm(input, context);
    },
  })),
  mutant("compute.cancel.delete", "takes a VM for deleted as soon as it has begun", (memory) => {
    const begun = new Set<string>();
    return {
      async deleteVm(input, context) {
        if (begun.has(input.vmId)) return;
        begun.add(input.vmId);
        await turns(1);
        return memory.deleteVm(input, context);
      },
    };
  }),
  mutant("compute.cancel.start", "keeps the memory that it had promised", (memory) => {
    let lost = 0;
    return {
      async startVm(input, context) {
        lost += 1;
        const started = await memory.startVm(input, context);
        lost -= 1;
        return started;
      },
      async computeInventory() {
        const inventory = await memory.computeInventory();
        return { ...inventory, promisedMemoryBytes: inventory.promisedMemoryBytes + lost * spec.memoryBytes };
      },
    };
  }),
  mutant("compute.cancel.stop", "takes a VM for stopped when its stop was given up", (memory) => {
    let isGivenUp = false;
    return {
      async stopVm(input, context) {
        const { vm } = memory.host.vms.get(input.vmId) ?? { vm: await memory.getVm(input) };
        await turns(1);
        if (isGivenUp) return { ...vm, state: "off" };
        isGivenUp = context.signal.aborted;
        return memory.stopVm(input, context);
      },
    };
  }),
  mutant("compute.deadline.calls", "says that it is too late when it has done it", (memory) => ({
    async createVm(input, context) {
      const made = await memory.createVm(input, createOperationContext());
      refuseWhenOver(context);
      return made;
    },
  })),
  mutant("compute.hostile.ids", "has a VM for every path", (memory) => ({
    getVm: ({ vmId }) =>
      forgiving(memory.getVm({ vmId }), (error) => {
        if (!vmId.includes("/")) throw error;
        return { vmId, name: "web", spec, state: "off" };
      }),
  })),
  mutant("compute.hostile.names", "keeps VMs in an object, by their names", (memory) => ({
    async createVm(input, context) {
      const byName: Readonly<Record<string, unknown>> = {};
      if (byName[input.name] !== undefined) throw new VdcError("ALREADY_EXISTS", `there is a VM '${input.name}'`);
      return memory.createVm(input, context);
    },
  })),
  mutant("compute.hostile.devices", "takes an id up to its first comma", (memory) => ({
    createVm: (input, context) => {
      const nics = input.spec.nics.map((nic) => ({ ...nic, id: nic.id.split(",", 1)[0] ?? "" }));
      return memory.createVm({ ...input, spec: { ...input.spec, nics } }, context);
    },
  })),
  mutant("compute.hostile.starts", "takes a comma in a kernel's arguments for the end of an option", (memory) => ({
    async startVm(input, context) {
      const { boot } = (await memory.getVm(input)).spec;
      if (boot.kind === "kernel" && boot.commandLine.includes(",")) {
        throw new VdcError("FAILED_PRECONDITION", "the monitor knows no such option");
      }
      return memory.startVm(input, context);
    },
  })),
  mutant("compute.hostile.tokens", "takes a number for a token", (memory) => ({
    listVms: ({ pageToken, ...input }) =>
      memory.listVms(pageToken === undefined || pageToken === "0" ? input : { ...input, pageToken }),
  })),
  mutant("compute.watch.bounded-memory", "keeps who has watched", (memory) => {
    const watched: number[][] = [];
    return {
      async *watchVms(input, context) {
        watched.push(new Array<number>(2_000).fill(0.5));
        yield* memory.watchVms(input, context);
      },
    };
  }),
  mutant("compute.list.changes", "counts how many it has listed", (memory) => ({
    async listVms({ limit = 1000, pageToken = "0", ...input }) {
      if (!/^\d+$/.test(pageToken)) throw new VdcError("ABORTED", "an unknown page token");
      const from = Number(pageToken);
      const { items } = await memory.listVms(input);
      const page = items.slice(from, from + limit);
      return from + limit < items.length ? { items: page, nextPageToken: String(from + limit) } : { items: page };
    },
  })),
];
