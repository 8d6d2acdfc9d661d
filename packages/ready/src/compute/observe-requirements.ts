import { mustKeepNoMemory } from "../suite/heap-growth.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { type ComputeRequirement, define, pullPlug, run, watchUntil } from "./compute-instance.ts";

/** What watching and measuring must do. */
export const observeRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.watch.level",
    title: "a watch tells VMs that are there, and the latest state of each as it changes, until it is deleted",
    clause: 'WatchItem: "what counts is the object in the latest item"',
    level: "core",
    async run(test) {
      const there = await define(test, "there");
      const watch = test.provider.watchVms({}, test.operation())[Symbol.asyncIterator]();
      await watchUntil(watch, there.vmId, "there", ({ type, object }) => type !== "deleted" && object.state === "off");
      const { vmId } = await run(test, "web");
      await watchUntil(watch, vmId, "running", ({ object }) => object.state === "running");
      await pullPlug(test, vmId);
      await watchUntil(watch, vmId, "off", ({ object }) => object.state === "off");
      await test.provider.deleteVm({ vmId }, test.operation());
      await watchUntil(watch, vmId, "deleted", ({ type }) => type === "deleted");
      await watch.return?.();
    },
  },
  {
    id: "compute.watch.cancel",
    title: "a watch that is cancelled ends at once, also while it waits",
    clause: 'watch(): "An operation that answers with items until the caller cancels."',
    level: "core",
    async run(test) {
      const controller = new AbortController();
      const watch = test.provider.watchVms({}, test.operation({ signal: controller.signal }))[Symbol.asyncIterator]();
      const rest = (async () => {
        while (!(await watch.next()).done);
      })().catch(() => undefined);
      controller.abort();
      await rest;
    },
  },
  {
    id: "compute.watch.bounded-memory",
    title: "a watch that is left keeps nothing, and neither does a look at a VM",
    clause: "OperationContext: it ends with its call, and what listens to its signal with it",
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      await mustKeepNoMemory(
        async () => {
          const watch = test.provider.watchVms({}, test.operation())[Symbol.asyncIterator]();
          await watch.next();
          await watch.return?.();
          await test.provider.getVm({ vmId }, test.operation());
        },
        { calls: 60, bytesPerCall: 8_192, timeMs: 20_000 },
      );
    },
  },
  {
    id: "compute.statistics.running",
    title: "statistics are told of a VM that runs, and refused for one that is off",
    clause: 'Operation vmStatistics: errors ["NOT_FOUND", "FAILED_PRECONDITION"]',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      const measure = () => test.provider.vmStatistics({ vmId }, test.operation());
      await mustReject(measure(), "FAILED_PRECONDITION", "the statistics of a VM that is off");
      await test.provider.startVm({ vmId, generation: 1 }, test.operation());
      const first = await measure();
      const second = await measure();
      mustEqual(first.vmId, vmId, "the VM's id");
      must(first.residentBytes > 0, "a VM that runs takes memory");
      must(second.cpuTimeMs >= first.cpuTimeMs && second.at >= first.at, "counters must not go back");
    },
  },
  {
    id: "compute.inventory.promised",
    title: "memory is promised to VMs that run, and given back when they stop",
    clause: 'ComputeInventory.promisedMemoryBytes: "Memory that is promised to VMs that run."',
    level: "core",
    async run(test) {
      const promised = async () => (await test.provider.computeInventory({}, test.operation())).promisedMemoryBytes;
      await define(test, "other");
      const before = await promised();
      const { vmId, spec } = await run(test, "web");
      mustEqual((await promised()) - before, spec.memoryBytes, "what a VM that runs was promised");
      await pullPlug(test, vmId);
      mustEqual(await promised(), before, "what is promised after it stopped");
    },
  },
  {
    id: "compute.inventory.evidence",
    title: "the inventory tells what the host has, and on what grounds VMs are run as they are",
    clause: 'ComputeInventory.accelerator: "How VMs are run, and how that was found out"',
    level: "core",
    async run(test) {
      const inventory = await test.provider.computeInventory({}, test.operation());
      must(inventory.cpus >= 1 && inventory.memoryBytes > 0, "a host has CPUs and memory");
      must(inventory.accelerator.kind !== "" && inventory.accelerator.evidence !== "", "the evidence must be told");
      must(inventory.monitorVersion !== "", "the monitor's version must be told");
    },
  },
];
