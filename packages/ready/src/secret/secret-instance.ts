import type { SecretStore } from "@vdc-os/core/secret/v1";
import type { Instance, Requirement, SuiteTest } from "../suite/suite.ts";

/** A store that can be killed. */
export interface KillableSecretStore {
  readonly implementation: SecretStore;
  /** Ends its process by SIGKILL, and opens what it left. */
  kill(): Promise<SecretStore>;
  /** What is there beside what a store has that nothing has happened to: files that a kill left behind, by their names. Defaults to nothing. */
  leftovers?(): readonly string[];
}

/** What the factory gives for the secret suite. */
export interface SecretInstance extends Instance<SecretStore> {
  /** Ends the store and opens what it left. Without it durability is not tried, and the verdict is `partial`. */
  restart?(): Promise<SecretStore>;
  /** Another store, empty, in a process of its own. Without it kills in the middle of a call are tried with `restart`. */
  killable?(): Promise<KillableSecretStore>;
}

/** A requirement of the secret suite. */
export type SecretRequirement = Requirement<SecretStore, SecretInstance>;

/** What a secret requirement works with. */
export type SecretTest = SuiteTest<SecretStore, SecretInstance>;

/** Puts a value, and returns its version. */
export async function put(test: SecretTest, name: string, value: string): Promise<number> {
  return (await test.provider.put({ name, value }, test.operation())).version;
}
