import { mustEqual } from "../suite/must.ts";
import {
  commandSpec,
  ensure,
  ensurePlane,
  type HostRequirement,
  logOf,
  pidOf,
  planeSpec,
  remove,
  reopen,
  request,
  startsOf,
  statesOf,
  until,
} from "./host-instance.ts";

const clause =
  'HostRuntime: "which go on when the runtime or the manager ends, and are adopted when it returns: with the same pid, and not as a restart"';

/** What must hold after the runtime itself was killed. */
export const reopenRequirements: readonly HostRequirement[] = [
  {
    id: "host.reopen.adopts",
    title: "what ran goes on, is found as it was, and answers",
    clause,
    level: "core",
    async run(test) {
      const module = await ensurePlane(test, "a", { data: 1 });
      const command = await ensure(test, commandSpec(test, "b", "stay"));
      await request(test, "a", "write", { text: "before\n" });
      const again = await reopen(test);
      mustEqual(await until(again, "a", ({ state }) => state === "running"), module, "the module");
      mustEqual(await until(again, "b", ({ state }) => state === "running"), command, "the command");
      mustEqual(await request(again, "a", "echo", 1), 1, "what the module answers");
      await request(again, "a", "write", { text: "after\n" });
      mustEqual(await logOf(again, "a"), "plane a begins\nbefore\nafter\n", "its log");
    },
  },
  {
    id: "host.reopen.same",
    title: "what is asked for again after the runtime was killed runs, and nothing is started twice",
    clause,
    level: "core",
    async run(test) {
      const before = await ensurePlane(test, "a", { data: 1 });
      const again = await reopen(test);
      mustEqual(await ensure(again, planeSpec(test, "a", { data: 1 })), before, "the status");
      mustEqual(await startsOf(again, "a"), 1, "how often it was started");
      const after = await ensure(again, planeSpec(test, "a", { data: 2 }));
      mustEqual(await request(again, "a", "alive", { pid: pidOf(before) }), false, "whether the old one runs");
      const { pid } = (await request(again, "a", "who")) as { readonly pid: number };
      mustEqual(pid, pidOf(after), "who answers");
    },
  },
  {
    id: "host.reopen.supervised",
    title: "what was adopted is started again when it ends, with how often it was before",
    clause,
    level: "core",
    async run(test) {
      await ensurePlane(test, "a");
      await request(test, "a", "exit", { code: 1 }).catch(() => undefined);
      await until(test, "a", ({ state, restarts }) => state === "running" && restarts === 1);
      const again = await reopen(test);
      await until(again, "a", ({ state, restarts }) => state === "running" && restarts === 1);
      const bred = await request(again, "a", "breed");
      await request(again, "a", "exit", { code: 1 }).catch(() => undefined);
      await until(again, "a", ({ state, restarts }) => state === "running" && restarts === 2);
      mustEqual(await request(again, "a", "alive", { pid: bred }), false, "whether what the old one started runs");
    },
  },
  {
    id: "host.reopen.removed",
    title: "what was removed stays so, and what has ended for good is still told",
    clause: 'HostRuntime.listProcesses: "The processes on record, also those that have ended"',
    level: "core",
    async run(test) {
      await ensure(test, commandSpec(test, "gone", "stay"));
      await ensure(test, commandSpec(test, "over", "exit", "5"));
      const over = await until(test, "over", ({ state }) => state === "exited");
      await remove(test, "gone");
      const again = await reopen(test);
      mustEqual(await again.provider.listProcesses({}, test.operation()), [over], "the processes");
      mustEqual(await ensure(again, commandSpec(test, "over", "exit", "5")), over, "what has ended, asked for again");
      mustEqual(await startsOf(again, "over"), 1, "how often it was started");
    },
  },
  {
    id: "host.reopen.unfinished",
    title: "what was being started when the runtime was killed does not run twice, and is removed whole",
    clause: 'HostRuntime: "A process of a host is found again by its record"',
    level: "core",
    async run(test) {
      const call = ensurePlane(test, "a", { start: "mute" });
      call.catch(() => undefined);
      const { pid } = await until(test, "a", ({ state, pid: known }) => state === "starting" && known !== undefined);
      const again = await reopen(test);
      const [found, ...others] = await again.provider.listProcesses({}, test.operation());
      mustEqual([others, found?.pid ?? pid], [[], pid], "what runs");
      await again.provider.removeProcess({ processId: "a", graceMs: 0 }, test.operation());
      mustEqual(await statesOf(again), [], "the processes");
      await ensure(again, planeSpec(test, "b"));
      mustEqual(await request(again, "b", "alive", { pid: pid ?? 0 }), false, "whether it runs");
    },
  },
];
