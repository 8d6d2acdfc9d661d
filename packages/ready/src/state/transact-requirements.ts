import type { StateOperation } from "@vdc-os/core/state/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import { keysUnder, put, read, remove, type StateRequirement } from "./state-instance.ts";

const allOrNone = 'Transaction: "All changes happen, or none: when every condition holds."';

/** What `get` and `transact` must do. */
export const transactRequirements: readonly StateRequirement[] = [
  {
    id: "state.get.absent",
    title: "an absent key has no entry, and the store's revision is told",
    clause: 'StateStore.get: "The entry of a key, or nothing."',
    level: "core",
    async run(test) {
      const before = await test.provider.get({ key: "absent" }, test.operation());
      must(before.entry === undefined, "an absent key must have no entry");
      const revision = await put(test, "present");
      mustEqual(
        await test.provider.get({ key: "absent" }, test.operation()),
        { revision },
        "the answer for an absent key",
      );
    },
  },
  {
    id: "state.transact.values",
    title: "a value comes back as it was put, whatever JSON it is",
    clause: 'KeyValue: "values are JSON, at most 1 MiB as text"',
    level: "core",
    async run(test) {
      const values = [
        null,
        false,
        0,
        -1.5,
        Number.MAX_SAFE_INTEGER,
        "",
        'text with \u0000, "quotes", \u{1f600} and \u2028',
        [],
        [1, [2, [null]]],
        {},
        { "": { nested: [{ deep: true }] } },
        "x".repeat(1024 * 1024 - 2),
      ];
      for (const [index, value] of values.entries()) {
        const key = `values/${index}`;
        await test.provider.transact({ compare: [], operations: [{ type: "put", key, value }] }, test.operation());
        mustEqual((await read(test, key))?.value, value, `the value of '${key}'`);
      }
    },
  },
  {
    id: "state.transact.keys",
    title: "keys are any text of up to 512 characters, and no two are confused",
    clause: 'KeyValue: "Keys are `/`-separated paths, at most 512 characters"',
    level: "core",
    async run(test) {
      const keys = ["a", "A", "a ", "a/", "%", "_", "a%", "\u00e9", "e\u0301", "\u{1f600}", "'\"\\", "k".repeat(512)];
      // What means something to a program that keeps keys elsewhere.
      keys.push("constructor", "__proto__", "../a", "/a", "-a", "a\nb", "%2e");
      await put(test, ...keys);
      for (const key of keys) mustEqual((await read(test, key))?.value, key, `the value of '${key}'`);
    },
  },
  {
    id: "state.transact.revision",
    title: "each transaction that changes something has the next revision, and all its changes share it",
    clause: 'TransactionResult.revision: "The store\'s revision that the changes have."',
    level: "core",
    async run(test) {
      const first = await put(test, "a", "b");
      const second = await put(test, "a");
      must(second > first, `a later transaction must have a higher revision: ${first}, then ${second}`);
      mustEqual(
        await read(test, "a"),
        { key: "a", value: "a", createRevision: first, modRevision: second },
        "a written twice",
      );
      mustEqual(
        await read(test, "b"),
        { key: "b", value: "b", createRevision: first, modRevision: first },
        "b written once",
      );
    },
  },
  {
    id: "state.transact.atomic",
    title: "when a condition does not hold, nothing changes",
    clause: allOrNone,
    level: "core",
    async run(test) {
      const revision = await put(test, "a", "b");
      const result = await test.provider.transact(
        {
          compare: [
            { key: "a", modRevision: revision },
            { key: "b", modRevision: revision + 1 },
          ],
          operations: [
            { type: "put", key: "a", value: "changed" },
            { type: "put", key: "c", value: "new" },
            { type: "delete", key: "b" },
          ],
        },
        test.operation(),
      );
      must(!result.committed, "a transaction with a condition that does not hold must not commit");
      mustEqual(await keysUnder(test, ""), ["a", "b"], "the keys after a transaction that did not commit");
      mustEqual(
        (await read(test, "a"))?.modRevision,
        revision,
        "the modRevision of a key that a failed transaction names",
      );
    },
  },
  {
    id: "state.transact.compare",
    title: "a condition holds exactly when the key's modRevision is the given one, 0 for an absent key",
    clause: 'Compare: "the key\'s `modRevision` must be this; 0 says that the key must be absent"',
    level: "core",
    async run(test) {
      const attempt = async (modRevision: number): Promise<boolean> =>
        (
          await test.provider.transact(
            { compare: [{ key: "a", modRevision }], operations: [{ type: "put", key: "witness", value: modRevision }] },
            test.operation(),
          )
        ).committed;
      mustEqual(await attempt(0), true, "whether 0 holds for an absent key");
      mustEqual(await attempt(1), false, "whether a revision holds for an absent key");
      const created = await put(test, "a");
      const written = await put(test, "a");
      mustEqual(await attempt(0), false, "whether 0 holds for a key that is there");
      mustEqual(await attempt(created), false, "whether an older revision of the key holds");
      mustEqual(await attempt(written), true, "whether the key's newest revision holds");
    },
  },
  {
    id: "state.transact.conflicts",
    title: "a conflict is a result that shows the keys in conflict as they are now, without those that are absent",
    clause:
      'TransactionResult.conflicts: "The keys whose condition did not hold, as they are now; one that is absent is left out."',
    level: "core",
    async run(test) {
      await put(test, "a", "fine");
      const fine = (await read(test, "fine"))?.modRevision ?? 0;
      const now = await put(test, "a");
      const result = await test.provider.transact(
        {
          compare: [
            { key: "a", modRevision: 0 },
            { key: "absent", modRevision: now },
            { key: "fine", modRevision: fine },
          ],
          operations: [],
        },
        test.operation(),
      );
      must(!result.committed, "the transaction must not commit");
      mustEqual(result.conflicts, [await read(test, "a")], "the conflicts");
      mustEqual(result.revision, now, "the revision of a conflict");
    },
  },
  {
    id: "state.transact.concurrent",
    title: "of concurrent transactions on one condition, exactly one commits",
    clause: allOrNone,
    level: "core",
    async run(test) {
      for (let round = 0; round < 5; round += 1) {
        const modRevision = (await read(test, "counter"))?.modRevision ?? 0;
        const results = await Promise.all(
          Array.from({ length: 8 }, (_, index) =>
            test.provider.transact(
              {
                compare: [{ key: "counter", modRevision }],
                operations: [{ type: "put", key: "counter", value: `${round}/${index}` }],
              },
              test.operation(),
            ),
          ),
        );
        mustEqual(
          results.filter(({ committed }) => committed).length,
          1,
          "how many of 8 concurrent transactions committed",
        );
      }
    },
  },
  {
    id: "state.transact.delete",
    title: "a deleted key is gone, and one created again is a new one",
    clause: 'KeyValue.createRevision: "The store\'s revision at which the key was created."',
    level: "core",
    async run(test) {
      await put(test, "a");
      await remove(test, "a");
      must((await read(test, "a")) === undefined, "a deleted key must have no entry");
      const again = await put(test, "a");
      mustEqual((await read(test, "a"))?.createRevision, again, "the createRevision of a key created again");
    },
  },
  {
    id: "state.transact.refuses",
    title: "a transaction that changes a key twice is refused, and changes nothing",
    clause: 'Transaction.operations: "At most 512, and no key twice."',
    level: "core",
    async run(test) {
      const operations: readonly StateOperation[] = [
        { type: "put", key: "other", value: 1 },
        { type: "put", key: "twice", value: 1 },
        { type: "delete", key: "twice" },
      ];
      await mustReject(
        test.provider.transact({ compare: [], operations }, test.operation()),
        "INVALID_ARGUMENT",
        "a transaction that changes a key twice",
      );
      mustEqual(await keysUnder(test, ""), [], "the keys after a transaction that was refused");
    },
  },
  {
    id: "state.transact.cancelled",
    title: "a transaction that was given up is done wholly, or not at all",
    clause: 'OperationContext.signal: "Aborts when the caller cancels". TransactionResult: all its changes, or none',
    level: "core",
    async run(test) {
      const operations = ["a", "b", "c"].map((key): StateOperation => ({ type: "put", key, value: key }));
      const call = test.provider.transact({ compare: [], operations }, test.operation({ signal: AbortSignal.abort() }));
      const done = await call.then(
        () => true,
        (error) => mustReject(Promise.reject(error), "CANCELLED", "a transaction that was given up").then(() => false),
      );
      const keys = await keysUnder(test, "");
      must(
        keys.length === 3 || (!done && keys.length === 0),
        `a transaction that was given up must leave all of its keys or none, and leaves ${JSON.stringify(keys)}`,
      );
    },
  },
  {
    id: "state.durable.restart",
    title: "what was acknowledged is there after a restart, with its revisions",
    clause: 'StateStore: "When `transact` returns, the change is on disk and survives `kill -9` and power loss."',
    level: "core",
    async run(test) {
      if (test.instance.restart === undefined) return test.skip("the factory has no 'restart'");
      await put(test, "a", "b");
      await put(test, "a");
      await remove(test, "b");
      const before = await test.provider.list({ prefix: "" }, test.operation());
      const restarted = await test.wrap(await test.instance.restart());
      const after = await restarted.list({ prefix: "" }, test.operation());
      mustEqual(after, before, "the list after a restart");
      const next = await put({ provider: restarted, operation: () => test.operation() }, "c");
      must(
        next > before.revision,
        `the first revision after a restart must be higher than ${before.revision}, and is ${next}`,
      );
    },
  },
];
