import type { StateEvent, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import { createTestClock } from "@vdc-os/core/testing";
import { MemoryStateStore } from "../../src/state/memory-state-store.ts";
import type { StateInstance } from "../../src/state/state-instance.ts";
import { type BuildMutant, mutantsOf } from "../build-mutant.ts";

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

/** A mutant that answers some operations in another way. */
export const mutant: BuildMutant<StateStore, StateInstance, MemoryStateStore> = mutantsOf();

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
