import { isVdcError } from "@vdc-os/core";
import type { SecretStore } from "@vdc-os/core/secret/v1";
import { MemorySecretStore } from "../../src/secret/memory-secret-store.ts";
import type { SecretInstance } from "../../src/secret/secret-instance.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";

/** The reference, fresh. */
export function createReference(): SecretInstance {
  const implementation = new MemorySecretStore();
  return { implementation, restart: async () => new MemorySecretStore(implementation) };
}

/** A mutant that answers some operations in another way. */
export function mutant(
  breaks: string,
  how: string,
  change: (store: SecretStore) => Partial<SecretStore>,
): Mutant<SecretStore, SecretInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const store = instance.implementation;
      const implementation: SecretStore = {
        describe: (input, context) => store.describe(input, context),
        resolve: (input, context) => store.resolve(input, context),
        put: (input, context) => store.put(input, context),
        rotate: (input, context) => store.rotate(input, context),
        remove: (input, context) => store.remove(input, context),
        list: (input, context) => store.list(input, context),
        ...change(store),
      };
      return { ...instance, implementation };
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
