import { createOperationContext, type Json, VdcError } from "@vdc-os/core";
import type { KeyValue, StateStore } from "@vdc-os/core/state/v1";
import { MemoryStateStore } from "../../src/state/memory-state-store.ts";
import type { StateInstance } from "../../src/state/state-instance.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";
import { mutant, operations } from "./build-mutant.ts";

const givenUp = (): VdcError => new VdcError("CANCELLED", "it was given up");

/** Copies a value as a program does that thinks of no names in particular. */
function copyOf(value: Json): Json {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  const copy: Record<string, Json> = {};
  for (const [name, item] of Object.entries(value)) copy[name] = copyOf(item);
  return copy;
}

/** Mutants of what happens to a store from outside: kills, callers that give up or come too late, hostile input, many changes. */
export const pressureMutants: readonly Mutant<StateStore, StateInstance>[] = [
  mutant("state.cancel.transact", "has made the first change when it notices that it was given up", (store) => ({
    async transact(input, context) {
      await undefined;
      await undefined;
      if (!context.signal.aborted) return store.transact(input, context);
      await store.transact({ ...input, operations: input.operations.slice(0, 1) }, createOperationContext());
      throw givenUp();
    },
  })),
  mutant("state.cancel.lease", "has deleted the first key when it notices that it was given up", (store) => ({
    async revokeLease(input, context) {
      await undefined;
      if (!context.signal.aborted) return store.revokeLease(input, context);
      const [key = "none"] = (await store.list({ prefix: "l/" }, createOperationContext())).entries.map(
        (entry) => entry.key,
      );
      await store.transact({ compare: [], operations: [{ type: "delete", key }] }, createOperationContext());
      throw givenUp();
    },
  })),
  mutant("state.cancel.watch", "commits nothing any more after a watch was given up in its course", (store) => {
    const reading = new Set<AbortSignal>();
    return {
      async *watch(input, context) {
        reading.add(context.signal);
        yield* store.watch(input, context);
        reading.delete(context.signal);
      },
      async transact(input, context) {
        while ([...reading].some(({ aborted }) => aborted)) await new Promise((resolve) => setImmediate(resolve));
        return store.transact(input, context);
      },
    };
  }),
  mutant("state.deadline.passed", "commits what comes too late", (store) => ({
    async transact(input, context) {
      const result = await store.transact(input, createOperationContext());
      if (context.signal.aborted) throw new VdcError("DEADLINE_EXCEEDED", "too late");
      return result;
    },
  })),
  mutant("state.deadline.passed", "keeps a lease alive for who comes too late", (store) => ({
    async keepAlive(input, context) {
      const result = await store.keepAlive(input, createOperationContext());
      if (context.signal.aborted) throw new VdcError("DEADLINE_EXCEEDED", "too late");
      return result;
    },
  })),
  mutant("state.deadline.watch", "has no end to its patience", (store) => ({
    watch: (input) => store.watch(input, createOperationContext()),
  })),
  {
    breaks: "state.crash.transact",
    how: "has part of the last transaction after a kill",
    mutate(instance) {
      const { disk } = instance.implementation as MemoryStateStore;
      return {
        ...instance,
        restart: async () => new MemoryStateStore({ disk: { ...disk, log: disk.log.slice(0, -1) } }),
      };
    },
  },
  {
    breaks: "state.crash.lease",
    how: "keeps leases in memory alone",
    mutate(instance) {
      const { disk } = instance.implementation as MemoryStateStore;
      return { ...instance, restart: async () => new MemoryStateStore({ disk: { ...disk, leases: new Map() } }) };
    },
  },
  mutant("state.hostile.keys", "takes a part of a prefix for a pattern", (store) => ({
    list: (input, context) => store.list({ ...input, prefix: input.prefix.replace(/%.*/, "") }, context),
  })),
  mutant("state.hostile.keys", "takes keys for names of files", (store) =>
    operations(store, (operation) => ({ ...operation, key: operation.key.replace("..", "") })),
  ),
  mutant("state.hostile.values", "copies values name by name", (store) =>
    operations(store, (operation) =>
      operation.type === "put" ? { ...operation, value: copyOf(operation.value) } : operation,
    ),
  ),
  mutant("state.hostile.leases", "trims the ids of leases", (store) => ({
    keepAlive: ({ lease }, context) => store.keepAlive({ lease: lease.trim() }, context),
  })),
  mutant("state.list.bounded", "gives everything when no limit is asked for", (store) => ({
    async list(input, context) {
      if (input.limit !== undefined) return store.list(input, context);
      const entries: KeyValue[] = [];
      let page = await store.list(input, context);
      for (
        ;
        page.nextPageToken !== undefined;
        page = await store.list({ ...input, pageToken: page.nextPageToken }, context)
      ) {
        entries.push(...page.entries);
      }
      return { entries: [...entries, ...page.entries], revision: page.revision };
    },
  })),
  mutant("state.watch.unread", "keeps each change for each watch until that has read it", (store) => {
    const queues: { readonly revision: number; readonly key: string }[][] = [];
    return {
      watch(input, context) {
        queues.push([]);
        return store.watch(input, context);
      },
      async transact(input, context) {
        const result = await store.transact(input, context);
        for (const queue of queues) {
          for (const { key } of input.operations) queue.push({ revision: result.revision, key });
        }
        return result;
      },
    };
  }),
];
