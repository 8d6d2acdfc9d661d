// The secret-store contract, version 1.

export type { SecretRef, SecretStore } from "./secret-store.ts";
export { secretRef, secretStore } from "./secret-store.ts";
