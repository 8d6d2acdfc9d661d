import { createOperationContext, VdcError } from "@vdc-os/core";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import { MemorySecretStore } from "../../src/secret/memory-secret-store.ts";
import type { SecretInstance } from "../../src/secret/secret-instance.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";
import { forgiving } from "../build-mutant.ts";
import { mutant } from "./build-mutant.ts";

const givenUp = (): VdcError => new VdcError("CANCELLED", "it was given up");

/** What a restart finds, when each secret has become something else by then. */
function restarted(
  how: string,
  breaks: string,
  change: (store: MemorySecretStore, name: string) => Promise<unknown>,
): Mutant<SecretStore, SecretInstance> {
  return {
    breaks,
    how,
    mutate: (instance) => ({
      ...instance,
      async restart() {
        const store = new MemorySecretStore(instance.implementation as MemorySecretStore);
        const { items } = await store.list({}, createOperationContext());
        for (const { name } of items) await change(store, name);
        return store;
      },
    }),
  };
}

/** Mutants of what happens to a store from outside: kills, callers that give up or come too late, hostile input, many calls. */
export const pressureMutants: readonly Mutant<SecretStore, SecretInstance>[] = [
  mutant("secret.cancel.put", "puts the value twice when it notices that it was given up", (store) => ({
    async put(input, context) {
      await undefined;
      if (!context.signal.aborted) return store.put(input, context);
      await store.put({ ...input, value: `${input.value}.` }, createOperationContext());
      await store.put(input, createOperationContext());
      throw givenUp();
    },
  })),
  mutant("secret.cancel.rotate", "replaces the version before when it notices that it was given up", (store) => {
    const lost = new Set<number>();
    return {
      async rotate(input, context) {
        await undefined;
        if (!context.signal.aborted) return store.rotate(input, context);
        lost.add((await store.resolve({ name: input.name }, createOperationContext())).version);
        throw givenUp();
      },
      async resolve(input, context) {
        const found = await store.resolve(input, context);
        return lost.has(found.version) ? { ...found, value: "" } : found;
      },
    };
  }),
  mutant("secret.cancel.remove", "has removed the newest version when it notices that it was given up", (store) => {
    let cut = false;
    return {
      async remove(input, context) {
        await undefined;
        cut = context.signal.aborted;
        if (cut) throw givenUp();
        return store.remove(input, context);
      },
      resolve: (input, context) => store.resolve(cut ? { ...input, version: 1 } : input, context),
    };
  }),
  mutant("secret.deadline.passed", "removes for who comes too late", (store) => ({
    async remove(input, context) {
      await store.remove(input, createOperationContext());
      if (context.signal.aborted) throw new VdcError("DEADLINE_EXCEEDED", "too late");
    },
  })),
  restarted("has half of a value after a kill", "secret.crash.put", async (store, name) => {
    const { value } = await store.resolve({ name }, createOperationContext());
    await store.put({ name, value: value.slice(0, value.length / 2) }, createOperationContext());
  }),
  restarted("forgets the versions before the newest after a kill", "secret.crash.rotate", async (store, name) => {
    const { value } = await store.resolve({ name }, createOperationContext());
    await store.remove({ name }, createOperationContext());
    await store.put({ name, value }, createOperationContext());
  }),
  mutant("secret.hostile.values", "ends a value at its first NUL", (store) => ({
    put: ({ name, value }, context) => store.put({ name, value: value.split("\0")[0] ?? "" }, context),
  })),
  mutant("secret.hostile.versions", "counts versions with 32 bits", (store) => ({
    resolve: ({ name, version }, context) =>
      store.resolve({ name, ...(version === undefined ? {} : { version: version | 0 }) }, context),
  })),
  mutant("secret.hostile.tokens", "begins again when it does not know a page token", (store) => ({
    list: (input, context) => forgiving(store.list(input, context), () => store.list({}, context)),
  })),
  mutant("secret.resolve.bounded-memory", "remembers what it has read", (store) => {
    const read: Uint8Array[] = [];
    return {
      async resolve(input, context) {
        const found = await store.resolve(input, context);
        read.push(Buffer.from(found.value));
        return found;
      },
    };
  }),
];
