import { createOperationContext, VdcError } from "@vdc-os/core";
import type { StateEvent, StateStore } from "@vdc-os/core/state/v1";
import { describe } from "vitest";
import { forgiving } from "../../test/build-mutant.ts";
import { createReference, events, mutant, operations } from "../../test/state-mutants/build-mutant.ts";
import { pressureMutants } from "../../test/state-mutants/pressure-mutants.ts";
import type { Mutant } from "../suite/proves-suite.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { MemoryStateStore } from "./memory-state-store.ts";
import type { StateInstance } from "./state-instance.ts";
import { stateSuite } from "./state-suite.ts";

const mutants: readonly Mutant<StateStore, StateInstance>[] = [
  mutant("state.get.absent", "tells revision 0 for an absent key", (store) => ({
    async get(input, context) {
      const found = await store.get(input, context);
      return found.entry === undefined ? { revision: 0 } : found;
    },
  })),
  mutant("state.transact.values", "keeps an empty list as an empty object", (store) =>
    operations(store, (operation) =>
      operation.type === "put" && JSON.stringify(operation.value) === "[]" ? { ...operation, value: {} } : operation,
    ),
  ),
  mutant("state.transact.keys", "cuts keys off at 255 characters", (store) =>
    operations(store, (operation) => ({ ...operation, key: operation.key.slice(0, 255) })),
  ),
  mutant("state.transact.revision", "gives each change of a transaction a revision", (store) => ({
    async transact(input, context) {
      let result = await store.transact({ compare: input.compare, operations: [] }, context);
      for (const operation of input.operations) {
        result = await store.transact({ compare: [], operations: [operation] }, context);
      }
      return result;
    },
  })),
  mutant("state.transact.atomic", "makes the changes before it looks at the conditions", (store) => ({
    async transact(input, context) {
      const checked = await store.transact({ compare: input.compare, operations: [] }, context);
      const done = await store.transact({ compare: [], operations: input.operations }, context);
      return checked.committed ? done : checked;
    },
  })),
  mutant("state.transact.cancelled", "has made the first change when it notices", (store) => ({
    async transact(input, context) {
      if (!context.signal.aborted) return store.transact(input, context);
      const [first] = input.operations;
      const operations = first === undefined ? [] : [first];
      await store.transact({ compare: input.compare, operations }, createOperationContext());
      throw new VdcError("CANCELLED", "it was given up");
    },
  })),
  mutant("state.transact.compare", "takes 0 for no condition", (store) => ({
    transact: (input, context) =>
      store.transact({ ...input, compare: input.compare.filter(({ modRevision }) => modRevision !== 0) }, context),
  })),
  mutant("state.transact.conflicts", "names no conflicts", (store) => ({
    async transact(input, context) {
      const result = await store.transact(input, context);
      return result.committed ? result : { ...result, conflicts: [] };
    },
  })),
  mutant("state.transact.concurrent", "looks at the conditions, waits, and then writes", (store) => ({
    async transact(input, context) {
      const checked = await store.transact({ compare: input.compare, operations: [] }, context);
      await new Promise((resolve) => setImmediate(resolve));
      return checked.committed ? store.transact({ compare: [], operations: input.operations }, context) : checked;
    },
  })),
  mutant("state.transact.delete", "remembers when a key was first created", (store) => ({
    async get(input, context) {
      const found = await store.get(input, context);
      return found.entry === undefined ? found : { ...found, entry: { ...found.entry, createRevision: 1 } };
    },
  })),
  mutant("state.transact.refuses", "keeps the last change of a key", (store) => ({
    transact: (input, context) =>
      store.transact(
        {
          ...input,
          operations: [...new Map(input.operations.map((operation) => [operation.key, operation])).values()],
        },
        context,
      ),
  })),
  {
    breaks: "state.durable.restart",
    how: "acknowledges before the last change is on disk",
    mutate(instance) {
      const { disk } = instance.implementation as MemoryStateStore;
      return {
        ...instance,
        restart: async () => new MemoryStateStore({ disk: { ...disk, log: disk.log.slice(0, -1) } }),
      };
    },
  },
  mutant("state.list.prefix", "orders keys as people do", (store) => ({
    async list(input, context) {
      const page = await store.list(input, context);
      return {
        ...page,
        entries: [...page.entries].sort((a, b) => a.key.localeCompare(b.key, "en", { numeric: true })),
      };
    },
  })),
  mutant("state.list.revision", "tells the newest revision among the entries", (store) => ({
    async list(input, context) {
      const page = await store.list(input, context);
      return { ...page, revision: Math.max(0, ...page.entries.map(({ modRevision }) => modRevision)) };
    },
  })),
  mutant("state.list.paging", "goes on with the store as it is now", (store) => ({
    async list(input, context) {
      if (input.pageToken === undefined) return store.list(input, context);
      const [revision, after] = JSON.parse(input.pageToken) as readonly [number, string];
      const pageToken = JSON.stringify([store.revision, after]);
      return { ...(await store.list({ ...input, pageToken }, context)), revision };
    },
  })),
  mutant("state.list.token", "begins again when it does not know a page token", (store) => ({
    list: (input, context) =>
      forgiving(store.list(input, context), () => store.list({ prefix: input.prefix }, context)),
  })),
  mutant("state.watch.replay", "tells the change of the revision itself too", (store) => ({
    watch: (input, context) => store.watch({ ...input, afterRevision: Math.max(0, input.afterRevision - 1) }, context),
  })),
  mutant("state.watch.live", "leaves the value of an entry out", (store) =>
    events(store, (event) => [event.type === "put" ? { ...event, entry: { ...event.entry, value: null } } : event]),
  ),
  mutant("state.watch.prefix", "tells the changes of every key", (store) => ({
    watch: (input, context) => store.watch({ ...input, prefix: "" }, context),
  })),
  mutant("state.watch.order", "tells a change twice", (store) =>
    events(store, (event) => (event.type === "put" && event.entry.key === "w/x7" ? [event, event] : [event])),
  ),
  mutant("state.watch.progress", "tells progress before the changes", (store) =>
    events(store, (event) => [{ type: "progress", revision: store.revision }, event]),
  ),
  mutant("state.watch.cancel", "does not hear that it is cancelled", (store) => ({
    watch: (input) => store.watch(input, createOperationContext()),
  })),
  mutant("state.lease.expiry", "ends no lease", (store) => ({
    grantLease: async (input, context) => ({
      ...(await store.grantLease({ ttlMs: 1e9 }, context)),
      ttlMs: input.ttlMs,
    }),
  })),
  mutant("state.lease.keepalive", "says that it keeps a lease alive, and does not", () => ({
    keepAlive: async ({ lease }) => ({ lease, ttlMs: 1_000 }),
  })),
  mutant("state.lease.revoke", "forgets a revoked lease, and leaves its keys", () => ({ revokeLease: async () => {} })),
  mutant("state.lease.ended", "keeps a lease alive that has ended", (store) => ({
    keepAlive: ({ lease }, context) => forgiving(store.keepAlive({ lease }, context), () => ({ lease, ttlMs: 1_000 })),
  })),
  mutant("state.lease.unknown", "leaves the puts with an unknown lease out", (store) => ({
    transact: (input, context) =>
      forgiving(store.transact(input, context), () =>
        store.transact(
          { ...input, operations: input.operations.filter((operation) => !("lease" in operation)) },
          context,
        ),
      ),
  })),
  mutant("state.lease.release", "keeps the lease that a key had", (store) => {
    const leases = new Map<string, string>();
    return operations(store, (operation) => {
      if (operation.type === "delete") return operation;
      if (operation.lease !== undefined) leases.set(operation.key, operation.lease);
      const lease = leases.get(operation.key);
      return lease === undefined ? operation : { ...operation, lease };
    });
  }),
  mutant("state.history.key", "tells the past oldest first", (store) => ({
    facets: {
      ...store.facets,
      history: {
        ...store.facets.history,
        async *keyHistory(input, context) {
          const past: StateEvent[] = [];
          for await (const event of store.facets.history.keyHistory(input, context)) past.unshift(event);
          yield* past;
        },
      },
    },
  })),
  mutant("state.history.compact", "compacts nothing", (store) => ({
    facets: { ...store.facets, history: { ...store.facets.history, compact: async () => {} } },
  })),
  mutant("state.history.resync", "leaves the changes out that were compacted away", (store) => ({
    watch: (input, context) =>
      store.watch({ ...input, afterRevision: Math.max(input.afterRevision, store.disk.compactRevision - 1) }, context),
  })),
  mutant("state.history.future", "compacts a revision that has not been", (store) => ({
    facets: {
      ...store.facets,
      history: {
        ...store.facets.history,
        compact: (input, context) => forgiving(store.facets.history.compact(input, context), () => {}),
      },
    },
  })),
  mutant("state.backup.new-file", "overwrites a backup", (store) => ({
    facets: {
      ...store.facets,
      backup: {
        backup: (input, context) =>
          forgiving(store.facets.backup.backup(input, context), () => ({ revision: store.revision })),
      },
    },
  })),
  ...pressureMutants,
];

describe("the state suite", () => {
  describeProof(stateSuite, { create: createReference, mutants, timeoutMs: 3_000 });
  describe("the reference", () => describeSuite(stateSuite, { create: createReference }));
});
