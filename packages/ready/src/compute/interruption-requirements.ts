import type { Hypervisor, Vm } from "@vdc-os/core/compute/v1";
import { crashInCall } from "../suite/crash-in-call.ts";
import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { must, mustEqual } from "../suite/must.ts";
import { mustBeOverdue } from "../suite/overdue.ts";
import { patiently } from "../suite/patience.ts";
import {
  type ComputeRequirement,
  type ComputeTest,
  define,
  listAll,
  pullPlug,
  reopen,
  run,
} from "./compute-instance.ts";

const whole =
  'Hypervisor: "A call that is given up, or that its provider\'s end cuts off, is done or not at all, and a repeat completes it."';
const late =
  'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."';

/** A change may find its VM busy with one that was given up. */
const codes = ["ABORTED"] as const;

async function all(test: ComputeTest): Promise<readonly Vm[]> {
  return (await listAll(test)).flatMap(({ items }) => items).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function promised(test: ComputeTest): Promise<number> {
  return (await test.provider.computeInventory({}, test.operation())).promisedMemoryBytes;
}

/** The VM's state when nothing goes on with it any more. Who calls over a pipe is answered before the other side has let go. */
async function settledState(test: ComputeTest, vmId: string): Promise<"running" | "off"> {
  for (;;) {
    const operation = test.operation();
    operation.signal.throwIfAborted();
    const { state } = await test.provider.getVm({ vmId }, operation);
    if (state === "running" || state === "off") return state;
    must(state === "starting" || state === "stopping", `it must run or be off in the end, and is ${state}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Another hypervisor of the same host, as what a requirement works with. */
function at(test: ComputeTest, provider: Hypervisor): ComputeTest {
  return { ...test, provider };
}

/** What calls that are given up, come too late, or are cut off must leave. */
export const interruptionRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.cancel.create",
    title: "a VM whose creation is given up at any moment is there or not, and a repeat makes one of it",
    clause: whole,
    level: "core",
    async run(test) {
      const { spec } = test.instance;
      const nameOf = (step: number): string => `vm-${String(step).padStart(2, "0")}`;
      const names: string[] = [];
      await giveUpAtEveryStep(test, {
        what: "a create",
        codes,
        call: (operation, step) => test.provider.createVm({ name: nameOf(step), spec }, operation),
        async look(step, isDone) {
          const name = nameOf(step);
          const found = await test.provider.listVms({ name }, test.operation());
          if (isDone) mustEqual(found.items.length, 1, `the number of VMs '${name}' after a create that was done`);
          const { state } = await patiently(() => define(test, name));
          mustEqual(state, "off", "the state of a VM that was created again");
          names.push(name);
        },
      });
      mustEqual(
        (await all(test)).map(({ name }) => name),
        names,
        "the VMs: each once",
      );
    },
  },
  {
    id: "compute.cancel.delete",
    title: "a VM whose deletion is given up at any moment is whole or gone, and a repeat completes it",
    clause: whole,
    level: "core",
    async run(test) {
      let vm = await define(test, "web");
      await giveUpAtEveryStep(test, {
        what: "a delete",
        codes,
        call: (operation) => test.provider.deleteVm({ vmId: vm.vmId }, operation),
        async look(_step, isDone) {
          const left = await all(test);
          if (isDone || left.length > 0)
            mustEqual(left, isDone ? [] : [vm], "the VMs after a delete that was given up");
          await patiently(() => test.provider.deleteVm({ vmId: vm.vmId }, test.operation()));
          mustEqual(await all(test), [], "the VMs after a repeat");
          vm = await define(test, "web");
        },
      });
    },
  },
  {
    id: "compute.cancel.start",
    title: "a VM whose start is given up at any moment runs or is off, with what that needs, and can be started",
    clause: whole,
    level: "core",
    async run(test) {
      const before = await promised(test);
      const { vmId, spec } = await define(test, "web");
      await giveUpAtEveryStep(test, {
        what: "a start",
        codes,
        isCostly: true,
        call: (operation, step) => test.provider.startVm({ vmId, generation: step + 1 }, operation),
        async look(_step, isDone) {
          const state = await settledState(test, vmId);
          if (isDone) mustEqual(state, "running", "its state after a start that was done");
          mustEqual((await promised(test)) - before, state === "off" ? 0 : spec.memoryBytes, "what is promised");
          mustEqual((await patiently(() => pullPlug(test, vmId))).state, "off", "its state after a stop");
          mustEqual(await promised(test), before, "what is promised after a stop");
        },
      });
      const started = await test.provider.startVm({ vmId, generation: 100 }, test.operation());
      mustEqual(started.state, "running", "its state after a start that nobody gave up");
    },
  },
  {
    id: "compute.cancel.stop",
    title: "a VM whose stop is given up at any moment runs or is off, and a repeat stops it",
    clause: whole,
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web");
      await giveUpAtEveryStep(test, {
        what: "a stop",
        codes,
        isCostly: true,
        call: (operation) => test.provider.stopVm({ vmId, mode: "hard" }, operation),
        async look(_step, isDone) {
          const state = await settledState(test, vmId);
          if (isDone) mustEqual(state, "off", "its state after a stop that was done");
          if (state === "running") return;
          await patiently(() => test.provider.startVm({ vmId, generation: 1 }, test.operation()));
        },
      });
      await patiently(() => pullPlug(test, vmId));
      mustEqual(await settledState(test, vmId), "off", "its state after a repeat");
    },
  },
  {
    id: "compute.deadline.calls",
    title: "a change that is asked for after its deadline fails with DEADLINE_EXCEEDED, and is not made",
    clause: late,
    level: "core",
    async run(test) {
      const { provider } = test;
      const { vmId, spec } = await define(test, "web");
      await mustBeOverdue(test, {
        createVm: (operation) => provider.createVm({ name: "late", spec }, operation),
        startVm: (operation) => provider.startVm({ vmId, generation: 9 }, operation),
        stopVm: (operation) => provider.stopVm({ vmId, mode: "hard", generation: 9 }, operation),
        deleteVm: (operation) => provider.deleteVm({ vmId }, operation),
      });
      const left = (await all(test)).map(({ name, state }) => [name, state]);
      mustEqual(left, [["web", "off"]], "the VMs after that");
      const started = await provider.startVm({ vmId, generation: 1 }, test.operation());
      mustEqual(started.generation, 1, "the generation of an owner that came in time");
    },
  },
  {
    id: "compute.crash.create",
    title: "a VM whose creation the hypervisor's end cuts off is there or not, and a repeat makes one of it",
    clause: whole,
    level: "core",
    async run(test) {
      const { spec } = test.instance;
      const names: string[] = [];
      await crashInCall({
        provider: test.provider,
        reopen: () => reopen(test),
        call: (provider, step) => provider.createVm({ name: `vm-${step}`, spec }, test.operation()),
        async look(provider, step, isDone) {
          const name = `vm-${step}`;
          const { items } = await provider.listVms({ name }, test.operation());
          if (isDone) mustEqual(items.length, 1, `the number of VMs '${name}' after a create that was done`);
          const made = await provider.createVm({ name, spec }, test.operation());
          mustEqual([made.name, made.state], [name, "off"], "the VM after a repeat");
          names.push(name);
          const found = (await all(at(test, provider))).map((vm) => vm.name);
          mustEqual(found, names, "the VMs after a repeat: each once");
        },
      });
    },
  },
  {
    id: "compute.crash.delete",
    title: "a VM whose deletion the hypervisor's end cuts off is whole or gone, and a repeat completes it",
    clause: whole,
    level: "core",
    async run(test) {
      let vm = await define(test, "web");
      await crashInCall({
        provider: test.provider,
        reopen: () => reopen(test),
        call: (provider) => provider.deleteVm({ vmId: vm.vmId }, test.operation()),
        async look(provider, _step, isDone) {
          const left = await all(at(test, provider));
          if (isDone || left.length > 0) mustEqual(left, isDone ? [] : [vm], "the VMs after a delete that was cut off");
          await provider.deleteVm({ vmId: vm.vmId }, test.operation());
          mustEqual(await all(at(test, provider)), [], "the VMs after a repeat");
          vm = await define(at(test, provider), "web");
        },
      });
    },
  },
  {
    id: "compute.crash.start",
    title: "a VM whose start the hypervisor's end cuts off runs once or not at all, and a repeat has it run",
    clause: whole,
    level: "core",
    async run(test) {
      const { vmId, spec } = await define(test, "web");
      const before = await promised(test);
      await crashInCall({
        provider: test.provider,
        reopen: () => reopen(test),
        call: (provider, step) => provider.startVm({ vmId, generation: step + 1 }, test.operation()),
        async look(provider, step, isDone) {
          const after = at(test, provider);
          const found = await provider.getVm({ vmId }, test.operation());
          if (isDone) mustEqual(found.state, "running", "its state after a start that was done");
          const again = await provider.startVm({ vmId, generation: step + 1 }, test.operation());
          mustEqual([again.state, again.generation], ["running", step + 1], "the VM after a repeat");
          if (found.state === "running")
            mustEqual(again.startedAt, found.startedAt, "since when it runs, after a repeat");
          mustEqual((await promised(after)) - before, spec.memoryBytes, "what is promised: its memory once");
          mustEqual((await pullPlug(after, vmId)).state, "off", "its state after a stop");
        },
      });
    },
  },
  {
    id: "compute.crash.stop",
    title: "a VM whose stop the hypervisor's end cuts off runs or is off, and a repeat stops it",
    clause: whole,
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web");
      await crashInCall({
        provider: test.provider,
        reopen: () => reopen(test),
        call: (provider) => provider.stopVm({ vmId, mode: "hard" }, test.operation()),
        async look(provider, _step, isDone) {
          const { state } = await provider.getVm({ vmId }, test.operation());
          must(state !== "starting" && (!isDone || state === "off"), `it must be off after its stop, and is ${state}`);
          mustEqual((await pullPlug(at(test, provider), vmId)).state, "off", "its state after a repeat");
          await provider.startVm({ vmId, generation: 1 }, test.operation());
        },
      });
    },
  },
];
