import type { SecretStore } from "@vdc-os/core/secret/v1";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";

/** What the factory gives for the secret suite. */
export interface SecretInstance extends Instance<SecretStore> {
  /** Ends the store and opens what it left. Without it durability is not tried, and the verdict is `partial`. */
  restart?(): Promise<SecretStore>;
}

/** A requirement of the secret suite. */
export type SecretRequirement = Requirement<SecretStore, SecretInstance>;

/** What a secret requirement works with. */
export type SecretTest = SuiteTest<SecretStore, SecretInstance>;

/** Puts a value, and returns its version. */
export async function put(test: SecretTest, name: string, value: string): Promise<number> {
  return (await test.provider.put({ name, value }, test.operation())).version;
}
