import type { SecretStore } from "@vdc-os/core/secret/v1";
import { MemorySecretStore } from "../../src/secret/memory-secret-store.ts";
import type { SecretInstance } from "../../src/secret/secret-instance.ts";
import { type BuildMutant, mutantsOf } from "../build-mutant.ts";

/** The reference, fresh. */
export function createReference(): SecretInstance {
  const implementation = new MemorySecretStore();
  return { implementation, restart: async () => new MemorySecretStore(implementation) };
}

/** A mutant that answers some operations in another way. */
export const mutant: BuildMutant<SecretStore, SecretInstance, MemorySecretStore> = mutantsOf();
