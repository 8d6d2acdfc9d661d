import type { StateOperation, StateStore, TransactionResult } from "@vdc-os/core/state/v1";
import { type Killable, killWhile } from "../suite/kill-while.ts";
import { must, mustEqual } from "../suite/must.ts";
import {
  brief,
  nextChanges,
  passTime,
  put,
  type StateRequirement,
  type StateTest,
  whileLeased,
} from "./state-instance.ts";

/** How many transactions are under way when the store is killed. */
const transactions = 40;

/** The store, and what ends it as `kill -9` does: in a process of its own where the factory has one. */
async function startKillable(test: StateTest): Promise<Killable<StateStore>> {
  const { instance } = test;
  const own = await instance.killable?.();
  if (own !== undefined) {
    return { provider: await test.wrap(own.implementation), kill: async () => test.wrap(await own.kill()) };
  }
  const { restart } = instance;
  if (restart === undefined) return test.skip("the factory has neither 'killable' nor 'restart'");
  return { provider: test.provider, kill: async () => test.wrap(await restart.call(instance)) };
}

/** The store after a kill, as {@link StateTest}'s own. */
function withStore(test: StateTest, provider: StateStore): StateTest {
  return { ...test, provider };
}

/** Kills in the middle of transactions and of what leases do. */
export const crashRequirements: readonly StateRequirement[] = [
  {
    id: "state.crash.transact",
    title:
      "transactions that are under way when the store is killed are there wholly or not at all, and the acknowledged ones are",
    clause:
      'Transaction: "All changes happen, or none"; StateStore: "When `transact` returns, the change is on disk and survives `kill -9`"',
    level: "core",
    async run(test) {
      const store = await startKillable(test);
      const before = withStore(test, store.provider);
      const indexes = Array.from({ length: transactions }, (_, index) => index);
      const old = await put(before, ...indexes.map((index) => `old/${index}`));
      const change = (to: StateStore, index: number): Promise<TransactionResult> => {
        const operations: readonly StateOperation[] = [
          { type: "put", key: `new/${index}/a`, value: "x".repeat(index * 100) },
          { type: "delete", key: `old/${index}` },
          { type: "put", key: `new/${index}/b`, value: index },
        ];
        return to.transact({ compare: [{ key: `old/${index}`, modRevision: old }], operations }, test.operation());
      };
      const { after: found, answered } = await killWhile(store, {
        async call(provider, index) {
          const result = await change(provider, index);
          must(result.committed, "a transaction whose condition holds must commit");
          return result.revision;
        },
        items: indexes,
        answers: 8,
      });
      const after = withStore(test, found);
      const { entries, revision } = await after.provider.list({ prefix: "" }, test.operation());
      const left = new Map(entries.map((entry) => [entry.key, entry]));
      for (const index of indexes) {
        const [isOld, a, b] = [left.has(`old/${index}`), left.get(`new/${index}/a`), left.get(`new/${index}/b`)];
        const isDone = a !== undefined;
        must(
          isDone === (b !== undefined) && isDone !== isOld && a?.modRevision === b?.modRevision,
          `transaction ${index} must be there wholly or not at all after a kill`,
        );
        const told = answered.get(index);
        if (told !== undefined)
          mustEqual(a?.modRevision, told, `the revision of transaction ${index}, which was acknowledged`);
      }
      // Who does not know what became of a transaction repeats it: its condition says whether it was made.
      for (const index of indexes) {
        const { committed } = await change(after.provider, index);
        mustEqual(committed, left.has(`old/${index}`), `whether transaction ${index} commits when it is repeated`);
      }
      const last = await put(after, "last");
      must(last > revision, `a revision after a kill must be higher than ${revision}, and is ${last}`);
    },
  },
  {
    id: "state.crash.lease",
    title:
      "after a kill a lease goes on, its keys go when it is not kept alive, and one that was being revoked has all of its keys or none",
    clause: 'StateLease: "keys that are put with it go when it is not kept alive"; "It outlives the store\'s process"',
    level: "core",
    async run(test) {
      const store = await startKillable(test);
      const { provider } = store;
      const grant = (forMs: number, ...keys: readonly string[]): Promise<string> =>
        whileLeased(test, forMs, async (ttlMs) => {
          const { lease } = await provider.grantLease({ ttlMs }, test.operation());
          const operations = keys.map((key): StateOperation => ({ type: "put", key, value: 1, lease }));
          await provider.transact({ compare: [], operations }, test.operation());
          return lease;
        });
      const kept = await grant(60_000, "kept");
      const revoked = await grant(60_000, "revoked/a", "revoked/b");
      const ending = await grant(1_000, "ending/a", "ending/b");
      must(ending !== kept && ending !== revoked, "each lease must have an id of its own");
      const { after: found } = await killWhile(store, {
        call: (to, lease) => to.revokeLease({ lease }, test.operation()),
        items: [revoked],
        answers: 0,
      });
      const after = withStore(test, found);
      const { entries, revision } = await after.provider.list({ prefix: "" }, test.operation());
      const under = (prefix: string) => entries.filter(({ key }) => key.startsWith(prefix)).map(({ key }) => key);
      must(
        under("revoked/").length !== 1,
        `a lease that was being revoked must have both of its keys or none, and has ${under("revoked/")}`,
      );
      await after.provider.revokeLease({ lease: revoked }, test.operation());
      mustEqual(
        await after.provider.keepAlive({ lease: kept }, test.operation()),
        { lease: kept, ttlMs: 60_000 },
        "a lease that is kept alive after a kill",
      );
      const fresh = await after.provider.grantLease({ ttlMs: 60_000 }, test.operation());
      must(![kept, revoked, ending].includes(fresh.lease), "a lease after a kill must have an id of its own");
      if (under("ending/").length > 0) {
        const context = test.operation();
        const watch = after.provider
          .watch({ prefix: "ending/", afterRevision: revision }, context)
          [Symbol.asyncIterator]();
        const gone = nextChanges(watch, 2);
        await passTime(test, 1_100);
        const [first, second] = (await gone).map((change) => brief(change).replace(/ \d+ /, " "));
        mustEqual(
          [first, second],
          ["delete ending/a", "delete ending/b"],
          "the changes when a lease is over after a kill",
        );
        await watch.return?.();
      }
      const { entries: left } = await after.provider.list({ prefix: "" }, test.operation());
      mustEqual(
        left.map(({ key }) => key),
        ["kept"],
        "the keys that stay",
      );
    },
  },
];
