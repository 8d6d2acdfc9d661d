import type { StateOperation } from "@vdc-os/core/state/v1";
import { must, mustEqual, mustReject } from "../suite/must.ts";
import {
  brief,
  keysUnder,
  nextChanges,
  openWatch,
  passTime,
  put,
  read,
  type StateRequirement,
  type StateTest,
  whileLeased,
} from "./state-instance.ts";

const clause = 'StateLease: "keys that are put with it go when it is not kept alive"';

interface Granted {
  readonly lease: string;
  /** Of the put of its keys. */
  readonly revision: number;
}

async function grant(test: StateTest, ttlMs: number, ...keys: readonly string[]): Promise<Granted> {
  const granted = await test.provider.grantLease({ ttlMs }, test.operation());
  mustEqual(granted.ttlMs, ttlMs, "the time of a lease");
  const { lease } = granted;
  const operations = keys.map((key): StateOperation => ({ type: "put", key, value: 1, lease }));
  const { revision } = await test.provider.transact({ compare: [], operations }, test.operation());
  return { lease, revision };
}

/** What leases must do. */
export const leaseRequirements: readonly StateRequirement[] = [
  {
    id: "state.lease.expiry",
    title: "the keys of a lease that is not kept alive go, by a revision that watches see",
    clause,
    level: "core",
    async run(test) {
      await put(test, "l/c");
      const { revision } = await whileLeased(test, 400, (ttlMs) => grant(test, ttlMs, "l/a", "l/b"));
      const watch = openWatch(test, "l/", revision);
      const changes = nextChanges(watch, 2);
      await passTime(test, 500);
      const gone = (await changes).map(brief);
      mustEqual(gone, [`delete ${revision + 1} l/a`, `delete ${revision + 1} l/b`], "the changes when the time is up");
      mustEqual(await keysUnder(test, ""), ["l/c"], "the keys that stay");
      await watch.return?.();
    },
  },
  {
    id: "state.lease.keepalive",
    title: "a lease that is kept alive begins its time anew",
    clause: 'StateStore.keepAlive: "Begins the lease\'s time anew."',
    level: "core",
    async run(test) {
      await whileLeased(test, 1_000, async (ttlMs, time) => {
        const { lease } = await grant(test, ttlMs, "l/a");
        for (let round = 0; round < 2; round += 1) {
          await passTime(test, 0.6 * ttlMs);
          const askedAt = performance.now();
          const kept = await test.provider.keepAlive({ lease }, test.operation());
          mustEqual(kept, { lease, ttlMs }, "what keepAlive returns");
          time.begunAt = askedAt;
        }
        mustEqual((await read(test, "l/a"))?.lease, lease, "the lease of a key, after more than its first time");
      });
    },
  },
  {
    id: "state.lease.revoke",
    title: "revoking a lease deletes its keys at once, and revoking it again succeeds",
    clause: 'StateStore.revokeLease: "Ends a lease, and deletes its keys."',
    level: "core",
    async run(test) {
      const { lease } = await grant(test, 60_000, "l/a");
      await test.provider.revokeLease({ lease }, test.operation());
      mustEqual(await keysUnder(test, ""), [], "the keys after the lease was revoked");
      await test.provider.revokeLease({ lease }, test.operation());
    },
  },
  {
    id: "state.lease.ended",
    title: "a lease that has ended can't be kept alive",
    clause: 'StateStore.keepAlive: "A lease that has ended fails with `NOT_FOUND`."',
    level: "core",
    async run(test) {
      const { lease } = await grant(test, 60_000);
      await test.provider.revokeLease({ lease }, test.operation());
      await mustReject(
        test.provider.keepAlive({ lease }, test.operation()),
        "NOT_FOUND",
        "keeping an ended lease alive",
      );
    },
  },
  {
    id: "state.lease.unknown",
    title: "a key can't be put with a lease that is not, and the whole transaction changes nothing",
    clause: 'Operation transact: errors ["NOT_FOUND", ...]; Transaction: "All changes happen, or none"',
    level: "core",
    async run(test) {
      const operations: readonly StateOperation[] = [
        { type: "put", key: "a", value: 1 },
        { type: "put", key: "b", value: 1, lease: "none-such" },
      ];
      const call = test.provider.transact({ compare: [], operations }, test.operation());
      await mustReject(call, "NOT_FOUND", "putting a key with an unknown lease");
      mustEqual(await keysUnder(test, ""), [], "the keys after that");
    },
  },
  {
    id: "state.lease.release",
    title: "a key that is put again without the lease no longer lives by it",
    clause: 'KeyValue.lease: "The lease it lives by, if any."',
    level: "core",
    async run(test) {
      const { lease } = await grant(test, 60_000, "a");
      await test.provider.transact(
        { compare: [], operations: [{ type: "put", key: "a", value: 2 }] },
        test.operation(),
      );
      must((await read(test, "a"))?.lease === undefined, "a key put without a lease must have none");
      await test.provider.revokeLease({ lease }, test.operation());
      mustEqual((await read(test, "a"))?.value, 2, "the value after the former lease was revoked");
    },
  },
];
