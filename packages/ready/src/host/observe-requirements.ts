import type { ProcessStatus } from "@vdc-os/core/host/v1";
import { must, mustEqual, takeUntil } from "../suite/must.ts";
import {
  commandSpec,
  endsSoon,
  ensure,
  type HostRequirement,
  type HostTest,
  ownerOf,
  remove,
  statesOf,
  until,
} from "./host-instance.ts";

const clause =
  'HostRuntime.watchProcesses: "Begins with each process as `added`; then tells the latest state of whatever changes."';

/** What is told of processes. */
export const observeRequirements: readonly HostRequirement[] = [
  {
    id: "host.list.all",
    title: "the list has every process, also those that have ended, in the order of their ids",
    clause:
      'HostRuntime.listProcesses: "The processes on record, also those that have ended, in the order of their ids."',
    level: "core",
    async run(test) {
      mustEqual(await statesOf(test), [], "the processes of a new host");
      for (const id of ["c", "a10", "b", "a2"]) await ensure(test, commandSpec(test, id, "stay"));
      await ensure(test, commandSpec(test, "a", "exit", "0"));
      await until(test, "a", ({ state }) => state === "exited");
      const all = ["a exited", "a10 running", "a2 running", "b running", "c running"];
      mustEqual(await statesOf(test), all, "the processes");
    },
  },
  {
    id: "host.list.owner",
    title: "the list of a datacenter has what it owns, and nothing else",
    clause: "Operation listProcesses: ownerDatacenter",
    level: "core",
    async run(test) {
      await ensure(test, commandSpec(test, "ours", "stay"));
      await ensure(test, { ...commandSpec(test, "theirs", "stay"), owner: ownerOf("theirs", "dc-10") });
      const of = async (ownerDatacenter: string): Promise<readonly string[]> =>
        (await test.provider.listProcesses({ ownerDatacenter }, test.operation())).map(({ processId }) => processId);
      mustEqual(await of("dc-1"), ["ours"], "what 'dc-1' owns");
      mustEqual(await of("dc-10"), ["theirs"], "what 'dc-10' owns");
      mustEqual(await of("dc"), [], "what 'dc' owns");
    },
  },
  {
    id: "host.watch.begins",
    title: "a watch begins with each process, once",
    clause,
    level: "core",
    async run(test) {
      const expected: ProcessStatus[] = [];
      for (const id of ["a", "b", "c"]) expected.push(await ensure(test, commandSpec(test, id, "stay")));
      const items = await takeUntil(test.provider.watchProcesses({}, test.operation()), (_, index) => index === 2);
      const told = items.map((item) => (item.type === "resync" ? item : { type: item.type, object: item.object }));
      mustEqual(
        told,
        expected.map((object) => ({ type: "added", object })),
        "what the watch begins with",
      );
    },
  },
  {
    id: "host.watch.changes",
    title: "a watch tells the last state of what changes, and what is removed, to each who watches",
    clause,
    level: "core",
    async run(test) {
      const seen = [follow(test), follow(test)];
      await ensure(test, commandSpec(test, "a", "exit", "4"));
      await ensure(test, commandSpec(test, "b", "stay"));
      for (const { reached } of seen) {
        await reached((now) => now.get("a") === "exited exit code 4" && now.get("b") === "running undefined");
      }
      await remove(test, "a");
      for (const { reached } of seen) await reached((now) => !now.has("a") && now.has("b"));
      for (const { end } of seen) await end();
    },
  },
  {
    id: "host.watch.slow",
    title: "who reads slowly is told of each process as it is at last",
    clause: 'HostRuntime.watchProcesses: "Who reads slowly is not told what was in between."',
    level: "core",
    async run(test) {
      await ensure(test, commandSpec(test, "a", "stay"));
      const watch = test.provider.watchProcesses({}, test.operation())[Symbol.asyncIterator]();
      await watch.next();
      for (let round = 0; round < 4; round += 1) {
        await remove(test, "a");
        await ensure(test, commandSpec(test, "a", "stay", String(round)));
      }
      await remove(test, "a");
      const last = await ensure(test, commandSpec(test, "z", "stay"));
      const now = new Map<string, ProcessStatus>();
      for (let items = 0; now.get("z")?.state !== "running" || now.has("a"); items += 1) {
        must(items < 100, "a watch must not tell more than there was");
        const { value, done } = await watch.next();
        must(done !== true, "a watch must not end by itself");
        if (value.type === "resync") continue;
        if (value.type === "deleted") now.delete(value.object.processId);
        else now.set(value.object.processId, value.object);
      }
      mustEqual([...now.values()], [last], "what the watch has told in the end");
      await watch.return?.();
    },
  },
  {
    id: "host.watch.cancel",
    title: "a watch that is cancelled ends at once, also while it waits",
    clause: 'watch(): "An operation that answers with items until the caller cancels."',
    level: "core",
    async run(test) {
      await ensure(test, commandSpec(test, "a", "stay"));
      const controller = new AbortController();
      const operation = test.operation({ signal: controller.signal });
      const watch = test.provider.watchProcesses({}, operation)[Symbol.asyncIterator]();
      await watch.next();
      const rest = (async () => {
        while (!(await watch.next()).done);
      })();
      controller.abort();
      must(await endsSoon(rest), "a watch that was cancelled must end");
    },
  },
];

interface Follower {
  reached(isThere: (states: ReadonlyMap<string, string>) => boolean): Promise<void>;
  end(): Promise<void>;
}

/** Keeps the states that a watch tells, and how each process last ended. */
function follow(test: HostTest): Follower {
  const controller = new AbortController();
  const states = new Map<string, string>();
  let look = (): void => undefined;
  const watching = (async () => {
    for await (const item of test.provider.watchProcesses({}, test.operation({ signal: controller.signal }))) {
      if (item.type === "resync") continue;
      const { processId, state, lastExit } = item.object;
      if (item.type === "deleted") states.delete(processId);
      else states.set(processId, `${state} ${lastExit}`);
      look();
    }
  })().catch((error: unknown) => {
    if (!controller.signal.aborted) throw error;
  });
  return {
    async reached(isThere) {
      const there = new Promise<void>((resolve) => {
        look = () => {
          if (isThere(states)) resolve();
        };
      });
      look();
      await Promise.race([there, watching.then(() => must(false, "a watch must not end by itself"))]);
    },
    async end() {
      controller.abort();
      await watching;
    },
  };
}
