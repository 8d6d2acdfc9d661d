import { type OperationContext, systemClock } from "@vdc-os/core";
import type { KeyValue, StateEvent, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import type { TestClock } from "@vdc-os/core/testing";
import { must } from "../suite/must.ts";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";

/** A store that can be killed. */
export interface KillableStateStore {
  readonly implementation: StateStore;
  /** Ends its process by SIGKILL, and opens what it left. */
  kill(): Promise<StateStore>;
}

/** What the factory gives for the state suite. */
export interface StateInstance extends Instance<StateStore> {
  /** The clock that the store's leases run on. Without it the suite waits in real time, a few seconds in all. */
  readonly clock?: TestClock | undefined;
  /**
   * Ends the store as `kill -9` would, or as near to that as can be, and opens what it left. Without it durability is not tried, and the
   * verdict is `partial`.
   */
  restart?(): Promise<StateStore>;
  /** Another store, empty, in a process of its own, on the machine's clock. Without it kills in the middle of a call are tried with `restart`. */
  killable?(): Promise<KillableStateStore>;
  /** A path at which nothing is, for facet `backup`. */
  readonly backupPath?: string | undefined;
}

/** A requirement of the state suite. */
export type StateRequirement = Requirement<StateStore, StateInstance>;

/** What a state requirement works with. */
export type StateTest = SuiteTest<StateStore, StateInstance>;

/** Puts keys in one transaction, and returns its revision. The value of each is its own key unless one is given. */
export async function put(
  test: { readonly provider: StateStore; operation(): OperationContext },
  ...keys: readonly string[]
): Promise<number> {
  const operations = keys.map((key): StateOperation => ({ type: "put", key, value: key }));
  const result = await test.provider.transact({ compare: [], operations }, test.operation());
  must(result.committed, "a transaction without conditions must commit");
  return result.revision;
}

/** Deletes a key, and returns the revision. */
export async function remove(test: StateTest, key: string): Promise<number> {
  const result = await test.provider.transact({ compare: [], operations: [{ type: "delete", key }] }, test.operation());
  must(result.committed, "a transaction without conditions must commit");
  return result.revision;
}

/** The entry of a key, or nothing. */
export async function read(test: StateTest, key: string): Promise<KeyValue | undefined> {
  return (await test.provider.get({ key }, test.operation())).entry;
}

/** The keys under a prefix, in the order that `list` gives them. */
export async function keysUnder(test: StateTest, prefix: string): Promise<readonly string[]> {
  return (await test.provider.list({ prefix }, test.operation())).entries.map(({ key }) => key);
}

/** The next changes of a watch, leaving `progress` out. A `resync` counts as a change. */
export async function nextChanges(watch: AsyncIterator<StateEvent>, count: number): Promise<StateEvent[]> {
  const changes: StateEvent[] = [];
  while (changes.length < count) {
    const item = await watch.next();
    must(!item.done, `the watch ended after ${changes.length} changes, and ${count} were made`);
    if (item.value.type !== "progress") changes.push(item.value);
  }
  return changes;
}

/** Opens a watch. */
export function openWatch(test: StateTest, prefix: string, afterRevision: number): AsyncIterator<StateEvent> {
  return test.provider.watch({ prefix, afterRevision }, test.operation())[Symbol.asyncIterator]();
}

/** A change in a few characters, to compare: `put 3 a`. */
export function brief(event: StateEvent): string {
  if (event.type === "put") return `put ${event.revision} ${event.entry.key}`;
  if (event.type === "delete") return `delete ${event.revision} ${event.key}`;
  return event.type;
}

/** Lets time pass for the store's leases. */
export function passTime(test: StateTest, ms: number): Promise<void> {
  return test.instance.clock?.advance(ms) ?? systemClock.sleep(ms);
}

/**
 * Does what must be done while a lease lasts. Where the store's time is real, a machine that is busy may be too late for that, and then the lease ended rightly:
 * what failed so is tried again with a lease that lasts longer. An attempt that begins the lease's time anew says since when, by `performance.now()`.
 */
export async function whileLeased<T>(
  test: StateTest,
  firstTtlMs: number,
  attempt: (ttlMs: number, lease: { begunAt: number }) => Promise<T>,
): Promise<T> {
  for (let ttlMs = firstTtlMs; ; ttlMs *= 4) {
    const lease = { begunAt: performance.now() };
    try {
      return await attempt(ttlMs, lease);
    } catch (error) {
      const isLate = performance.now() - lease.begunAt >= ttlMs;
      if (!isLate || test.operation().signal.aborted) throw error;
    }
  }
}
