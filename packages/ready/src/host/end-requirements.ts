import type { Json } from "@vdc-os/core";
import { isVdcError } from "@vdc-os/core";
import type { ProcessStatus } from "@vdc-os/core/host/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  ensure,
  ensurePlane,
  type HostRequirement,
  type HostView,
  pidOf,
  planeSpec,
  remove,
  request,
  shortReadyMs,
  startsOf,
  statesOf,
  until,
} from "./host-instance.ts";

const removal =
  'HostRuntime.removeProcess: "SIGTERM, then SIGKILL after `graceMs`. Resolves when it has ended, with everything that it started"';

/** Has a process end itself, which can't answer any more. */
async function endItself(test: HostView, processId: string, method: string, params: Json = null): Promise<void> {
  await request(test, processId, method, params).catch((error: unknown) => {
    if (!isVdcError(error, "UNAVAILABLE")) throw error;
  });
}

/** How a process ends, by itself and when it is removed. */
export const endRequirements: readonly HostRequirement[] = [
  {
    id: "host.restart.module",
    title: "a module that ends is started again, and says how often and how it ended",
    clause: 'HostRuntime.ensureProcess: "A process that ends is started again where its spec says `always`"',
    level: "core",
    async run(test) {
      const before = await ensurePlane(test, "a", { data: 1 });
      await endItself(test, "a", "exit", { code: 7 });
      const once = await until(test, "a", ({ state, restarts }) => state === "running" && restarts > 0);
      mustEqual([once.restarts, once.lastExit], [1, "exit code 7"], "how often it was started again, and why");
      must(pidOf(once) !== pidOf(before), "what was started again must be another process");
      await endItself(test, "a", "kill");
      const twice = await until(test, "a", ({ state, restarts }) => state === "running" && restarts > 1);
      mustEqual([twice.restarts, twice.lastExit], [2, "signal SIGKILL"], "how often it was started again, and why");
      const { config } = (await request(test, "a", "who")) as Record<string, Json>;
      mustEqual(config, { data: 1 }, "its config");
    },
  },
  {
    id: "host.restart.never",
    title: "a module that is to run once stays ended, and does not answer",
    clause: 'EnsureProcess.restart: "`never` leaves it ended"',
    level: "core",
    async run(test) {
      const spec = { ...planeSpec(test, "a"), restart: "never" } as const;
      await ensure(test, spec);
      await endItself(test, "a", "exit", { code: 0 });
      const status = await until(test, "a", ({ state }) => state === "exited");
      mustEqual([status.lastExit, status.pid, status.restarts], ["exit code 0", undefined, 0], "how it ended");
      mustEqual(await ensure(test, spec), status, "the status, asked again");
      await mustReject(request(test, "a", "echo"), "UNAVAILABLE", "a call of a process that has ended");
    },
  },
  {
    id: "host.restart.backs-off",
    title: "what ends at once is started again after pauses, and not as fast as it ends",
    clause: 'ProcessStatus.state: "`backingOff` while it has ended and waits to be started again"',
    level: "core",
    async run(test) {
      const spec = { ...planeSpec(test, "a", { start: "crash" }), readyTimeoutMs: await shortReadyMs(test) };
      const call = ensure(test, spec);
      call.catch(() => undefined);
      // Where starts take long, one that took too long may have been killed.
      const isEnd = ({ lastExit }: ProcessStatus): boolean => lastExit === "exit code 3";
      const status = await until(test, "a", (now) => now.state === "backingOff" && isEnd(now));
      mustEqual(status.pid, undefined, "the pid of what has ended");
      await mustReject(call, "UNAVAILABLE", "a module that ends at once");
      const starts = await startsOf(test, "a");
      must(starts <= 30, `while it is waited for it must be started a few times, and was started ${starts} times`);
    },
  },
  {
    id: "host.restart.children",
    title: "what a process started ends with it, before it is started again",
    clause: 'HostRuntime: "what it started itself ends with it too, whatever that did to leave it"',
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      const bred = await request(test, "a", "breed");
      mustEqual(await request(test, "a", "alive", { pid: bred }), true, "whether what it started runs");
      await endItself(test, "a", "exit", { code: 1 });
      await until(test, "a", ({ state, restarts }) => state === "running" && restarts === 1);
      mustEqual(await request(test, "a", "alive", { pid: bred }), false, "whether it runs after the restart");
    },
  },
  {
    id: "host.remove.ends",
    title: "a process has ended when its removal returns, with what it started, and its id is free",
    clause: removal,
    level: "core",
    async run(test) {
      const before = await ensurePlane(test, "a");
      const bred = await request(test, "a", "breed");
      await remove(test, "a");
      mustEqual(await statesOf(test), [], "the processes");
      await mustReject(request(test, "a", "echo"), "NOT_FOUND", "a call of a process that was removed");
      const after = await ensurePlane(test, "a");
      mustEqual(
        [after.restarts, await startsOf(test, "a")],
        [0, 1],
        "restarts, and the starts in the log, of another one",
      );
      for (const pid of [pidOf(before), bred]) {
        mustEqual(await request(test, "a", "alive", { pid }), false, `whether process ${pid} runs`);
      }
    },
  },
  {
    id: "host.remove.absent",
    title: "removing what is absent succeeds, once and again",
    clause: 'HostRuntime.removeProcess: "Removing what is absent succeeds."',
    level: "core",
    async run(test) {
      await remove(test, "a");
      await ensurePlane(test, "a");
      await remove(test, "a");
      await remove(test, "a");
      mustEqual(await statesOf(test), [], "the processes");
    },
  },
  {
    id: "host.remove.orderly",
    title: "a removal waits for a process that takes its time to end in order, and no longer",
    clause: removal,
    level: "core",
    async run(test) {
      await ensurePlane(test, "a", { stop: "slow" });
      const startedAt = performance.now();
      await remove(test, "a", 20_000);
      const tookMs = performance.now() - startedAt;
      must(tookMs >= 450, `a process that stops in 500 ms was ended after ${Math.round(tookMs)} ms`);
      must(tookMs < 15_000, `a process that stops in 500 ms was waited for ${Math.round(tookMs)} ms`);
    },
  },
  {
    id: "host.remove.forced",
    title: "a process that does not hear SIGTERM is ended after the grace, and not before",
    clause: removal,
    level: "core",
    async run(test) {
      const { pid } = await ensurePlane(test, "a", { stop: "never" });
      await ensurePlane(test, "witness");
      const startedAt = performance.now();
      await remove(test, "a", 400);
      const tookMs = performance.now() - startedAt;
      must(tookMs >= 350, `a process with a grace of 400 ms was ended after ${Math.round(tookMs)} ms`);
      mustEqual(await request(test, "witness", "alive", { pid: pid ?? 0 }), false, "whether it runs");
    },
  },
  {
    id: "host.remove.backing-off",
    title: "a process that waits to be started again is removed, and never starts again",
    clause: removal,
    level: "core",
    async run(test) {
      const spec = { ...planeSpec(test, "a", { start: "crash" }), readyTimeoutMs: 300 };
      await mustReject(ensure(test, spec), "UNAVAILABLE", "a module that ends at once");
      await until(test, "a", ({ state }) => state === "backingOff");
      await remove(test, "a");
      mustEqual(await statesOf(test), [], "the processes");
      await ensurePlane(test, "a");
      await new Promise((resolve) => setTimeout(resolve, 700));
      mustEqual(
        [await statesOf(test), await startsOf(test, "a")],
        [["a running"], 1],
        "what runs by its id afterwards",
      );
    },
  },
];
