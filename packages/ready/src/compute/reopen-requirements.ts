import { mustEqual, mustReject } from "../suite/must.ts";
import { type ComputeRequirement, define, reopen, run } from "./compute-instance.ts";

const clause = 'Hypervisor: "VMs go on when the runtime or the manager ends, and are found again when it returns."';

/** What must hold after the hypervisor itself was killed. */
export const reopenRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.reopen.adopts",
    title: "a VM that ran goes on, is found as it was, and can be stopped",
    clause,
    level: "core",
    async run(test) {
      const before = await run(test, "web", 3);
      const provider = await reopen(test);
      const { vmId } = before;
      mustEqual(await provider.getVm({ vmId }, test.operation()), before, "the VM");
      const again = await provider.startVm({ vmId, generation: 3 }, test.operation());
      mustEqual(again.startedAt, before.startedAt, "since when it runs, after a repeated start");
      const stopped = await provider.stopVm({ vmId, mode: "hard" }, test.operation());
      mustEqual(stopped.state, "off", "its state after a stop");
    },
  },
  {
    id: "compute.reopen.fenced",
    title: "the highest generation that was seen is remembered",
    clause: 'Hypervisor: "so that a VM never runs for two owners"',
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web", 3);
      await test.provider.stopVm({ vmId, mode: "hard", generation: 9 }, test.operation());
      const provider = await reopen(test);
      const call = provider.startVm({ vmId, generation: 8 }, test.operation());
      await mustReject(call, "FAILED_PRECONDITION", "a start with a generation that was seen to be old");
    },
  },
  {
    id: "compute.reopen.defined",
    title: "VMs that were defined are there, and those that were deleted are not",
    clause,
    level: "core",
    async run(test) {
      const kept = await define(test, "kept");
      const gone = await define(test, "gone");
      await test.provider.deleteVm({ vmId: gone.vmId }, test.operation());
      const provider = await reopen(test);
      const { items } = await provider.listVms({}, test.operation());
      mustEqual(items, [kept], "the VMs");
      const spec = test.instance.spec;
      const again = await provider.createVm({ name: "kept", spec }, test.operation());
      mustEqual(again.vmId, kept.vmId, "the id of the VM that is created again");
    },
  },
];
