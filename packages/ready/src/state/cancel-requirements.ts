import type { StateOperation } from "@vdc-os/core/state/v1";
import { giveUpAtEveryStep } from "../suite/give-up.ts";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { mustBeOverdue } from "../suite/overdue.ts";
import {
  brief,
  keysUnder,
  nextChanges,
  openWatch,
  passTime,
  put,
  read,
  type StateRequirement,
  whileLeased,
} from "./state-instance.ts";

const clause = 'OperationContext.signal: "Aborts when the caller cancels"; Transaction: "All changes happen, or none"';

/** Callers that give up at any moment, and callers that come too late. */
export const cancelRequirements: readonly StateRequirement[] = [
  {
    id: "state.cancel.transact",
    title:
      "a transaction that is given up at any moment is made wholly and once or not at all, and its condition tells which when it is repeated",
    clause,
    level: "core",
    async run(test) {
      const first = await put(test, "a", "b");
      const made: number[] = [first];
      const change = (step: number) => ({
        compare: [{ key: "a", modRevision: made.at(-1) ?? 0 }],
        operations: ["a", "b"].map((key): StateOperation => ({ type: "put", key, value: step })),
      });
      await giveUpAtEveryStep(test, {
        what: "a transaction",
        call: (context, step) => test.provider.transact(change(step), context),
        async look(step, isDone) {
          const again = await test.provider.transact(change(step), test.operation());
          must(!isDone || !again.committed, "a transaction that was answered must have been made");
          const [a, b] = [await read(test, "a"), await read(test, "b")];
          mustEqual([a?.value, b?.value], [step, step], "the values when a transaction was repeated");
          mustEqual(b?.modRevision, a?.modRevision, "the revision of both keys");
          const { entries } = await test.provider.list({ prefix: "" }, test.operation());
          mustEqual(entries, [a, b], "the list, and what is read key by key");
          made.push(a?.modRevision ?? 0);
        },
      });
      const watch = openWatch(test, "a", 0);
      mustEqual(
        (await nextChanges(watch, made.length)).map(brief),
        made.map((revision) => `put ${revision} a`),
        "the changes, each once",
      );
      await watch.return?.();
    },
  },
  {
    id: "state.cancel.lease",
    title: "a revoke that is given up at any moment leaves all keys of the lease or none, and a repeat completes it",
    clause: 'StateStore.revokeLease: "Ends a lease, and deletes its keys."',
    level: "core",
    async run(test) {
      let lease = "";
      await giveUpAtEveryStep(test, {
        what: "a revoke",
        async call(context) {
          ({ lease } = await test.provider.grantLease({ ttlMs: 60_000 }, test.operation()));
          const operations = ["l/a", "l/b"].map((key): StateOperation => ({ type: "put", key, value: 1, lease }));
          await test.provider.transact({ compare: [], operations }, test.operation());
          await test.provider.revokeLease({ lease }, context);
        },
        async look(_step, isDone) {
          const { length } = await keysUnder(test, "l/");
          must(
            length === 0 || (!isDone && length === 2),
            `a revoke must delete both keys or none, and leaves ${length}`,
          );
          await test.provider.revokeLease({ lease }, test.operation());
          mustEqual(await keysUnder(test, "l/"), [], "the keys when the revoke was repeated");
          await mustReject(test.provider.keepAlive({ lease }, test.operation()), "NOT_FOUND", "keeping it alive then");
        },
      });
    },
  },
  {
    id: "state.cancel.watch",
    title: "a watch that is given up at any moment is in nobody's way: changes are made and told all the same",
    clause: 'watch(): "An operation that answers with items until the caller cancels."',
    level: "core",
    async run(test) {
      let last = await put(test, "w/a");
      await giveUpAtEveryStep(test, {
        what: "a watch",
        async call(context) {
          const input = { prefix: "w/", afterRevision: last - 1 };
          const watch = test.provider.watch(input, context)[Symbol.asyncIterator]();
          await nextChanges(watch, 1);
          await watch.return?.();
        },
        async look() {
          const before = last;
          last = await put(test, "w/a");
          const watch = openWatch(test, "w/", before);
          mustEqual((await nextChanges(watch, 1)).map(brief), [`put ${last} w/a`], "the change, for another watch");
          await watch.return?.();
        },
      });
    },
  },
  {
    id: "state.deadline.passed",
    title: "a change whose deadline has passed before it begins fails with DEADLINE_EXCEEDED, and has no effect",
    clause:
      'OperationContext.deadline: "A call that begins after it fails with `DEADLINE_EXCEEDED`, and has no effect."',
    level: "core",
    async run(test) {
      const { provider } = test;
      const { revision, leftMs } = await whileLeased(test, 1_000, async (ttlMs) => {
        const { lease } = await provider.grantLease({ ttlMs }, test.operation());
        const operations: readonly StateOperation[] = [{ type: "put", key: "leased", value: 1, lease }];
        const put = await provider.transact({ compare: [], operations }, test.operation());
        await passTime(test, 0.6 * ttlMs);
        await mustBeOverdue(test, {
          transact: (context) =>
            provider.transact({ compare: [], operations: [{ type: "put", key: "late", value: 1 }] }, context),
          grantLease: (context) => provider.grantLease({ ttlMs }, context),
          keepAlive: (context) => provider.keepAlive({ lease }, context),
          revokeLease: (context) => provider.revokeLease({ lease }, context),
        });
        mustEqual(await keysUnder(test, ""), ["leased"], "the keys after calls that came too late");
        return { revision: put.revision, leftMs: 0.5 * ttlMs };
      });
      const watch = openWatch(test, "", revision);
      const change = nextChanges(watch, 1);
      await passTime(test, leftMs);
      // It was kept alive too late, too.
      mustEqual((await change).map(brief), [`delete ${revision + 1} leased`], "the only change");
      await watch.return?.();
    },
  },
  {
    id: "state.deadline.watch",
    title: "a watch whose deadline passes while it waits ends",
    clause: 'OperationContext.signal: "Aborts when the caller cancels, the deadline passes"',
    level: "core",
    async run(test) {
      await put(test, "w/a");
      const operation = test.operation({ timeoutMs: 50 });
      const watch = test.provider.watch({ prefix: "w/", afterRevision: 0 }, operation)[Symbol.asyncIterator]();
      const all = (async () => {
        while (!(await watch.next()).done);
      })();
      await all.catch((error: unknown) =>
        mustReject(Promise.reject(error), "DEADLINE_EXCEEDED", "a watch whose deadline passes"),
      );
      mustEqual(await keysUnder(test, ""), ["w/a"], "the keys");
    },
  },
];
