import { isVdcError } from "@vdc-os/core";
import type { StateEvent, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import { createTestClock } from "@vdc-os/core/testing";
import { MemoryStateStore } from "../../src/state/memory-state-store.ts";
import type { StateInstance } from "../../src/state/state-instance.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";

/** An instance of the reference. */
export interface MemoryInstance extends StateInstance {
  readonly implementation: MemoryStateStore;
}

/** The reference, fresh. */
export function createReference(): MemoryInstance {
  const clock = createTestClock();
  const implementation = new MemoryStateStore({ clock });
  return {
    implementation,
    clock,
    restart: async () => new MemoryStateStore({ clock, disk: implementation.disk }),
    backupPath: "/backup",
  };
}

export type Change = (store: MemoryStateStore) => Partial<StateStore>;

/** A mutant that answers some operations in another way. */
export function mutant(breaks: string, how: string, change: Change): Mutant<StateStore, StateInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const store = instance.implementation as MemoryStateStore;
      const implementation: StateStore = {
        describe: (input, context) => store.describe(input, context),
        get: (input, context) => store.get(input, context),
        transact: (input, context) => store.transact(input, context),
        list: (input, context) => store.list(input, context),
        watch: (input, context) => store.watch(input, context),
        grantLease: (input, context) => store.grantLease(input, context),
        keepAlive: (input, context) => store.keepAlive(input, context),
        revokeLease: (input, context) => store.revokeLease(input, context),
        facets: store.facets,
        ...change(store),
      };
      return { ...instance, implementation };
    },
  };
}

/** Transactions with other operations. */
export function operations(
  store: MemoryStateStore,
  map: (operation: StateOperation) => StateOperation,
): Partial<StateStore> {
  return {
    transact: (input, context) => store.transact({ ...input, operations: input.operations.map(map) }, context),
  };
}

/** Watches with other events. */
export function events(
  store: MemoryStateStore,
  map: (event: StateEvent) => readonly StateEvent[],
): Partial<StateStore> {
  return {
    async *watch(input, context) {
      for await (const event of store.watch(input, context)) yield* map(event);
    },
  };
}

/** A call that answers something where it should fail. */
export async function forgiving<T>(call: Promise<T>, otherwise: () => T | Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return otherwise();
  }
}
