import { isVdcError } from "@vdc-os/core";
import type { Vm } from "@vdc-os/core/compute/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { patiently } from "../suite/patience.ts";
import { type ComputeRequirement, type ComputeTest, define, listAll, pullPlug, run } from "./compute-instance.ts";

const atOnce =
  'Hypervisor: "Calls may come all at once; one that finds its VM busy may fail with `ABORTED`, and the caller tries again."';

/** How many VMs there are at once: more would be a test of the machine. */
const names = ["a", "b", "c"] as const;

async function promised(test: ComputeTest): Promise<number> {
  return (await test.provider.computeInventory({}, test.operation())).promisedMemoryBytes;
}

async function all(test: ComputeTest): Promise<readonly Vm[]> {
  return (await listAll(test)).flatMap(({ items }) => items).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What became of calls that were made at once. Each that failed must have failed with one of the codes. */
async function outcomes<T>(
  calls: readonly Promise<T>[],
  codes: Parameters<typeof mustReject>[1],
  what: string,
): Promise<readonly (T | undefined)[]> {
  const settled = await Promise.allSettled(calls);
  for (const call of settled) {
    if (call.status === "rejected") await mustReject(Promise.reject(call.reason), codes, what);
  }
  return settled.map((call) => (call.status === "fulfilled" ? call.value : undefined));
}

/** What calls that come all at once must leave. */
export const concurrencyRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.concurrent.vms",
    title: "VMs that are made, run, stopped and forgotten at once do not get into each other's way",
    clause: atOnce,
    level: "core",
    async run(test) {
      const { provider } = test;
      const before = await promised(test);
      const made = await Promise.all(names.map((name) => define(test, name)));
      mustEqual(
        made.map(({ name }) => name),
        names,
        "the names, in the order of the calls",
      );
      mustEqual(new Set(made.map(({ vmId }) => vmId)).size, names.length, "the number of ids");
      const started = await Promise.all(
        made.map(({ vmId }, index) => provider.startVm({ vmId, generation: index + 1 }, test.operation())),
      );
      mustEqual(
        started.map(({ vmId, state, generation }) => [vmId, state, generation]),
        made.map(({ vmId }, index) => [vmId, "running", index + 1]),
        "the VMs that were started at once",
      );
      mustEqual(
        (await all(test)).map(({ name, state }) => [name, state]),
        names.map((name) => [name, "running"]),
        "the VMs in the list",
      );
      mustEqual((await promised(test)) - before, names.length * test.instance.spec.memoryBytes, "what was promised");
      const stopped = await Promise.all(made.map(({ vmId }) => pullPlug(test, vmId)));
      mustEqual(
        stopped.map(({ vmId, state }) => [vmId, state]),
        made.map(({ vmId }) => [vmId, "off"]),
        "the VMs that were stopped at once",
      );
      await Promise.all(made.map(({ vmId }) => provider.deleteVm({ vmId }, test.operation())));
      mustEqual(await all(test), [], "the VMs after all were deleted");
      mustEqual(await promised(test), before, "what is promised after that");
    },
  },
  {
    id: "compute.concurrent.create",
    title: "of VMs of one name and different specs that are created at once there is one, and the others are refused",
    clause: 'CreateVm.name: "Makes the call idempotent, with the spec."; errors ["ALREADY_EXISTS", ...]',
    level: "core",
    async run(test) {
      const { memoryBytes } = test.instance.spec;
      const sizes = [0, 1, 2, 3].map((more) => memoryBytes + (more << 20));
      const calls = sizes.map((size) => define(test, "web", { memoryBytes: size }));
      const made = await outcomes(calls, ["ALREADY_EXISTS", "ABORTED"], "a VM of the same name and another spec");
      const winners = made.filter((vm) => vm !== undefined);
      mustEqual(winners.length, 1, "the number of VMs of one name that were made");
      mustEqual(await all(test), winners, "the VMs in the list");
    },
  },
  {
    id: "compute.concurrent.owners",
    title: "of owners that start a VM at once the newest has it, and it runs once",
    clause: 'Hypervisor: "so that a VM never runs for two owners"',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      const generations = [2, 4, 1, 3];
      const start = (generation: number) =>
        patiently(() => test.provider.startVm({ vmId, generation }, test.operation()));
      const started = await outcomes(generations.map(start), "FAILED_PRECONDITION", "a start of an older owner");
      must(started[1] !== undefined, "the newest owner must have the VM");
      const now = await test.provider.getVm({ vmId }, test.operation());
      mustEqual([now.state, now.generation], ["running", 4], "the VM after all have come");
      const since = new Set(started.flatMap((vm) => (vm === undefined ? [] : [vm.startedAt])));
      mustEqual([...since], [now.startedAt], "since when it runs, to each owner");
    },
  },
  {
    id: "compute.concurrent.start-stop",
    title: "a VM that is started and stopped at once runs or is off, and says which",
    clause:
      'Hypervisor.stopVm: "Resolves when nothing of the VM runs any more."; startVm: "Resolves when the VM\'s CPUs run."',
    level: "core",
    async run(test) {
      const before = await promised(test);
      const { vmId, spec } = await run(test, "web");
      const start = () => test.provider.startVm({ vmId, generation: 1 }, test.operation());
      await outcomes([pullPlug(test, vmId), start(), pullPlug(test, vmId)], "ABORTED", "a start or a stop at once");
      const { state } = await test.provider.getVm({ vmId }, test.operation());
      must(state === "running" || state === "off", `it must run or be off, and is ${state}`);
      mustEqual(
        (await promised(test)) - before,
        state === "off" ? 0 : spec.memoryBytes,
        `what is promised to what is ${state}`,
      );
      mustEqual((await patiently(() => pullPlug(test, vmId))).state, "off", "its state after a stop");
      mustEqual((await start()).state, "running", "its state after a start");
    },
  },
  {
    id: "compute.concurrent.start-delete",
    title: "a VM that is deleted while it is started runs or is gone, and never both",
    clause: 'Hypervisor.deleteVm: "one that runs fails with `FAILED_PRECONDITION`"; startVm: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const before = await promised(test);
      for (const first of ["start", "delete"] as const) {
        const { vmId, spec } = await define(test, "web");
        const start = () => test.provider.startVm({ vmId, generation: 1 }, test.operation());
        const remove = () => test.provider.deleteVm({ vmId }, test.operation()).then(() => true as const);
        const calls: readonly Promise<Vm | true>[] = first === "start" ? [start(), remove()] : [remove(), start()];
        const codes = ["NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"] as const;
        const done = await outcomes<Vm | true>(calls, codes, "a start or a delete at once");
        const isDeleted = done.includes(true);
        const isStarted = done.some((outcome) => outcome !== undefined && outcome !== true);
        must(!isDeleted || !isStarted, "a VM must not be started and deleted");
        const state = await test.provider.getVm({ vmId }, test.operation()).then(
          (vm) => vm.state,
          (error: unknown) => (isVdcError(error, "NOT_FOUND") ? undefined : Promise.reject(error)),
        );
        mustEqual(state === undefined, isDeleted, "whether it is gone");
        mustEqual((await promised(test)) - before, state === "running" ? spec.memoryBytes : 0, "what is promised");
        if (state === undefined) continue;
        await pullPlug(test, vmId);
        await test.provider.deleteVm({ vmId }, test.operation());
      }
      mustEqual(await all(test), [], "the VMs after that");
    },
  },
];
