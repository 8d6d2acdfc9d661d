import { must, mustEqual, mustReject } from "../suite/must.ts";
import { type ComputeRequirement, define, pullPlug, reasonOf, run } from "./compute-instance.ts";

const fencing = 'Hypervisor: "A start with a lower generation than one seen before is fenced"';

/** What starting and stopping VMs must do. */
export const powerRequirements: readonly ComputeRequirement[] = [
  {
    id: "compute.start.runs",
    title: "a VM that is started runs, and tells its generation and since when",
    clause: 'Hypervisor.startVm: "Resolves when the VM\'s CPUs run."',
    level: "core",
    async run(test) {
      const before = Date.now();
      const started = await run(test, "web", 7);
      mustEqual([started.state, started.generation], ["running", 7], "state and generation");
      const at = started.startedAt ?? 0;
      must(at >= before - 1_000 && at <= Date.now() + 1_000, `startedAt must be the time of the start, and is ${at}`);
      mustEqual(await test.provider.getVm({ vmId: started.vmId }, test.operation()), started, "what getVm returns");
    },
  },
  {
    id: "compute.start.idempotent",
    title: "starting what runs changes nothing, also when both calls are made at once",
    clause: 'Hypervisor: "`createVm` defines, `startVm` runs. Both are idempotent."',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      const start = () => test.provider.startVm({ vmId, generation: 1 }, test.operation());
      const [one, other] = await Promise.all([start(), start()]);
      const again = await start();
      mustEqual([other.state, again.state], ["running", "running"], "the states");
      mustEqual([other.startedAt, again.startedAt], [one.startedAt, one.startedAt], "since when it runs");
    },
  },
  {
    id: "compute.start.absent",
    title: "what is not there can't be started",
    clause: 'Operation startVm: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const call = test.provider.startVm({ vmId: "no-such", generation: 1 }, test.operation());
      await mustReject(call, "NOT_FOUND", "starting what is not there");
    },
  },
  {
    id: "compute.start.fenced",
    title: "a start with a lower generation than one seen before is fenced, and the same or a higher one is not",
    clause: fencing,
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web", 5);
      const start = (generation: number) => test.provider.startVm({ vmId, generation }, test.operation());
      const error = await mustReject(start(4), "FAILED_PRECONDITION", "a start of an old owner while it runs");
      mustEqual(reasonOf(error), "VDC_FENCED", "the reason");
      mustEqual((await start(6)).generation, 6, "the generation after a newer owner's start");
      await pullPlug(test, vmId);
      await mustReject(start(5), "FAILED_PRECONDITION", "a start of an old owner after it stopped");
      mustEqual((await start(6)).state, "running", "its state after a start with the highest generation");
    },
  },
  {
    id: "compute.start.cancel",
    title: "a start that is cancelled leaves a VM that can be stopped and started",
    clause: 'OperationContext.signal: "Aborts when the caller cancels"',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      const controller = new AbortController();
      const operation = test.operation({ signal: controller.signal });
      const start = test.provider.startVm({ vmId, generation: 1 }, operation).catch(() => undefined);
      controller.abort();
      await start;
      mustEqual((await pullPlug(test, vmId)).state, "off", "its state after a stop");
      const again = await test.provider.startVm({ vmId, generation: 1 }, test.operation());
      mustEqual(again.state, "running", "its state after another start");
    },
  },
  {
    id: "compute.stop.hard",
    title: "a VM whose plug is pulled is off",
    clause: 'Hypervisor.stopVm: "Resolves when nothing of the VM runs any more."',
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web");
      const stopped = await pullPlug(test, vmId);
      mustEqual([stopped.state, stopped.startedAt], ["off", undefined], "state and start time");
      mustEqual((await test.provider.getVm({ vmId }, test.operation())).state, "off", "its state in getVm");
    },
  },
  {
    id: "compute.stop.off",
    title: "stopping what is off succeeds",
    clause: 'Hypervisor.stopVm: "Stopping what is off succeeds."',
    level: "core",
    async run(test) {
      const { vmId } = await define(test, "web");
      for (const mode of ["guest", "hard"] as const) {
        const stopped = await test.provider.stopVm({ vmId, mode }, test.operation());
        mustEqual(stopped.state, "off", `its state after a ${mode} stop`);
      }
    },
  },
  {
    id: "compute.stop.absent",
    title: "what is not there can't be stopped",
    clause: 'Operation stopVm: errors ["NOT_FOUND", ...]',
    level: "core",
    async run(test) {
      const call = test.provider.stopVm({ vmId: "no-such", mode: "hard" }, test.operation());
      await mustReject(call, "NOT_FOUND", "stopping what is not there");
    },
  },
  {
    id: "compute.stop.guest",
    title: "a guest that does not shut down in its time is stopped hard",
    clause: 'Hypervisor.stopVm: "asks the guest to shut down, and falls back to `hard` after `guestTimeoutMs`"',
    level: "core",
    async run(test) {
      // It has only begun to boot, so it does not hear the request.
      const { vmId } = await run(test, "web");
      const call = test.provider.stopVm({ vmId, mode: "guest", guestTimeoutMs: 100 }, test.operation());
      mustEqual((await call).state, "off", "its state");
    },
  },
  {
    id: "compute.stop.fenced",
    title: "a stop of an old owner is fenced, and the VM goes on",
    clause: fencing,
    level: "core",
    async run(test) {
      const { vmId } = await run(test, "web", 5);
      const call = test.provider.stopVm({ vmId, mode: "hard", generation: 4 }, test.operation());
      mustEqual(reasonOf(await mustReject(call, "FAILED_PRECONDITION", "the stop")), "VDC_FENCED", "the reason");
      mustEqual((await test.provider.getVm({ vmId }, test.operation())).state, "running", "its state after that");
    },
  },
];
