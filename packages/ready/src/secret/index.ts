// The suite
export type { KillableSecretStore, SecretInstance } from "./secret-instance.ts";
export { secretSuite } from "./secret-suite.ts";

// The reference that it is proved with, also as a fake for tests
export { MemorySecretStore } from "./memory-secret-store.ts";
