import { isVdcError } from "@vdc-os/core";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  begun,
  commandSpec,
  endsSoon,
  ensure,
  ensurePlane,
  type HostRequirement,
  pidOf,
  planeSpec,
  remove,
  request,
  startsOf,
  statesOf,
  until,
} from "./host-instance.ts";

const once = 'HostRuntime.ensureProcess: "Never do two run for one id, whoever asks at once."';
const givenUp =
  'HostRuntime.ensureProcess: "What a caller gave up is absent, or on record and goes on; asking again settles it."';

/** Calls at once, and calls that are given up. */
export const pressureRequirements: readonly HostRequirement[] = [
  {
    id: "host.concurrent.same",
    title: "one process runs, however many ask for it at once",
    clause: once,
    level: "core",
    async run(test) {
      const all = await Promise.all(Array.from({ length: 8 }, () => ensurePlane(test, "a")));
      mustEqual(new Set(all.map(pidOf)).size, 1, "how many processes eight calls have started");
      mustEqual(await startsOf(test, "a"), 1, "how often it was started");
    },
  },
  {
    id: "host.concurrent.specs",
    title: "one process is left when several specs are asked for at once, and the others have ended",
    clause: once,
    level: "core",
    async run(test) {
      const asked = await Promise.allSettled([1, 2, 3].map((data) => ensurePlane(test, "a", { data })));
      const pids = new Set<number>();
      for (const result of asked) {
        if (result.status === "fulfilled") pids.add(pidOf(result.value));
        else await mustReject(Promise.reject(result.reason), "ABORTED", "one of several calls at once");
      }
      const status = await until(test, "a", ({ state }) => state === "running");
      for (const pid of pids) {
        mustEqual(await request(test, "a", "alive", { pid }), pid === status.pid, `whether process ${pid} runs`);
      }
      mustEqual(await statesOf(test), ["a running"], "the processes");
    },
  },
  {
    id: "host.concurrent.removed",
    title: "who waits for a process that is removed meanwhile is told, and it does not come back",
    clause: 'HostRuntime.ensureProcess: "`ABORTED` when it is removed meanwhile"',
    level: "core",
    async run(test) {
      const call = ensurePlane(test, "a", { start: "mute" });
      call.catch(() => undefined);
      await until(test, "a", ({ state, pid }) => state === "starting" && pid !== undefined);
      await remove(test, "a", 0);
      must(await endsSoon(call), "who waits for a process that was removed must be told");
      await mustReject(call, "ABORTED", "who waits for a process that was removed");
      mustEqual(await statesOf(test), [], "the processes");
    },
  },
  {
    id: "host.concurrent.settles",
    title:
      "asking for a process and removing it at once ends with one of both, and the next call is as good as the first",
    clause: once,
    level: "core",
    async run(test) {
      for (let round = 0; round < 2; round += 1) {
        const spec = commandSpec(test, "a", "stay", String(round));
        const asked = await Promise.allSettled([ensure(test, spec), remove(test, "a"), ensure(test, spec)]);
        for (const result of asked) {
          if (result.status === "rejected") {
            must(isVdcError(result.reason, "ABORTED"), `a call at once with another failed with ${result.reason}`);
          }
        }
        const left = await statesOf(test);
        must(left.length === 0 || left[0] === "a running", `it must run or be absent, and is ${left[0]}`);
      }
      mustEqual((await ensurePlane(test, "a")).state, "running", "the state of the process that is asked for next");
      mustEqual(await statesOf(test), ["a running"], "the processes");
    },
  },
  {
    id: "host.concurrent.many",
    title: "many processes are started and ended at once, each as itself",
    clause: 'EnsureProcess.processId: "Unique on the host"',
    level: "core",
    async run(test) {
      const ids = Array.from({ length: 12 }, (_, index) => `p${index}`);
      const all = await Promise.all(ids.map((id) => ensure(test, commandSpec(test, id, "stay"))));
      mustEqual(
        all.map(({ processId, state }) => `${processId} ${state}`),
        ids.map((id) => `${id} running`),
        "the statuses",
      );
      mustEqual(new Set(all.map(pidOf)).size, ids.length, "how many processes run");
      await Promise.all(ids.slice(1).map((id) => remove(test, id)));
      mustEqual(await statesOf(test), ["p0 running"], "the processes");
    },
  },
  {
    id: "host.cancel.before",
    title: "a call that was given up before it began leaves nothing half done",
    clause: givenUp,
    level: "core",
    async run(test) {
      const spec = commandSpec(test, "a", "stay");
      const signal = AbortSignal.abort();
      await test.provider
        .ensureProcess(spec, test.operation({ signal }))
        .catch((error) => mustReject(Promise.reject(error), "CANCELLED", "a call that was given up"));
      const { pid, state } = await ensure(test, spec);
      mustEqual(state, "running", "the state of a process that is asked for again");
      await begun(test, "a");
      mustEqual(await startsOf(test, "a"), 1, "how often it was started");
      await test.provider
        .removeProcess({ processId: "a" }, test.operation({ signal }))
        .catch((error) => mustReject(Promise.reject(error), "CANCELLED", "a removal that was given up"));
      await remove(test, "a");
      mustEqual(await statesOf(test), [], "the processes");
      await ensurePlane(test, "b");
      mustEqual(await request(test, "b", "alive", { pid: pid ?? 0 }), false, "whether it runs");
    },
  },
  {
    id: "host.cancel.ensure",
    title: "who gives up waiting for a process is rid of it at once, and the process is on record or absent",
    clause: givenUp,
    level: "core",
    async run(test) {
      const controller = new AbortController();
      const spec = planeSpec(test, "a", { start: "mute" });
      const call = test.provider.ensureProcess(spec, test.operation({ signal: controller.signal }));
      call.catch(() => undefined);
      const { pid } = await until(test, "a", (status) => status.state === "starting" && status.pid !== undefined);
      controller.abort();
      must(await endsSoon(call), "a call that was given up must end");
      await mustReject(call, "CANCELLED", "a call that was given up");
      await ensurePlane(test, "a");
      mustEqual(await request(test, "a", "alive", { pid: pid ?? 0 }), false, "whether the one that was given up runs");
      mustEqual(await statesOf(test), ["a running"], "the processes");
    },
  },
  {
    id: "host.ensure.deadline",
    title: "a call ends when its deadline has passed, however long the process has left",
    clause: 'OperationContext.signal: "Aborts when the caller cancels, the deadline passes"',
    level: "core",
    async run(test) {
      const spec = planeSpec(test, "a", { start: "mute" });
      const call = test.provider.ensureProcess(spec, test.operation({ timeoutMs: 300 }));
      call.catch(() => undefined);
      must(await endsSoon(call), "a call must end when its deadline has passed");
      await mustReject(call, "DEADLINE_EXCEEDED", "a call whose deadline has passed");
    },
  },
  {
    id: "host.deadline.passed",
    title: "a call that begins after its deadline is refused, and has no effect",
    clause:
      'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."',
    level: "core",
    async run(test) {
      const late = () => test.operation({ timeoutMs: 0 });
      const before = await ensure(test, commandSpec(test, "a", "stay"));
      const other = test.provider.ensureProcess(commandSpec(test, "b", "stay"), late());
      await mustReject(other, "DEADLINE_EXCEEDED", "a process that is asked for too late");
      const changed = test.provider.ensureProcess(commandSpec(test, "a", "stay", "on"), late());
      await mustReject(changed, "DEADLINE_EXCEEDED", "another spec that is asked for too late");
      const removed = test.provider.removeProcess({ processId: "a" }, late());
      await mustReject(removed, "DEADLINE_EXCEEDED", "a removal that is asked for too late");
      mustEqual(await test.provider.listProcesses({}, test.operation()), [before], "the processes");
    },
  },
  {
    id: "host.cancel.remove",
    title: "a removal that was given up ends at once for its caller, and goes on",
    clause: 'HostRuntime.removeProcess: "A removal that its caller gave up goes on."',
    level: "core",
    async run(test) {
      await ensurePlane(test, "witness");
      let pid: number | undefined;
      let isGivenUp = false;
      // Where a grace is over before anybody can give up, the next one is longer.
      for (let graceMs = 1_500; !isGivenUp; graceMs *= 2) {
        ({ pid } = await ensurePlane(test, "a", { stop: "never" }));
        let isOver = false;
        const controller = new AbortController();
        const operation = test.operation({ signal: controller.signal });
        const call = test.provider.removeProcess({ processId: "a", graceMs }, operation).finally(() => {
          isOver = true;
        });
        call.catch(() => undefined);
        await request(test, "witness", "echo");
        isGivenUp = !isOver;
        controller.abort();
        must(await endsSoon(call), "a removal that was given up must end for its caller");
        if (isGivenUp) await mustReject(call, "CANCELLED", "a removal that was given up");
      }
      for (let looks = 0; (await statesOf(test)).some((one) => one.startsWith("a ")); looks += 1) {
        must(looks < 160, "a removal that was given up must go on");
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      mustEqual(await request(test, "witness", "alive", { pid: pid ?? 0 }), false, "whether it runs");
    },
  },
];
