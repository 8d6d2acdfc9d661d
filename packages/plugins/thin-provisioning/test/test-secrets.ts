import { VdcError } from "@vdc-os/core";
import type { SecretRef } from "@vdc-os/core/secret/v1";

/** A secret store for tests: what a pool uses of one. */
export interface TestSecrets {
  readonly values: Map<string, readonly string[]>;
  /** While true, it answers nothing. */
  unreachable: boolean;
  resolve(input: SecretRef): Promise<{ readonly value: string; readonly version: number }>;
}

/** Two keys, each of which can be looked for in files: nothing else has these bytes. */
export const keys: Readonly<Record<"key-1" | "key-2", string>> = {
  "key-1": "the-first-key-that-no-file-may-hold-4bd1",
  "key-2": "the-second-key-that-no-file-may-hold-91ce",
};

export function createTestSecrets(): TestSecrets {
  const values = new Map<string, readonly string[]>(Object.entries(keys).map(([name, value]) => [name, [value]]));
  const secrets: TestSecrets = {
    values,
    unreachable: false,
    async resolve({ name, version }) {
      if (secrets.unreachable) throw new VdcError("UNAVAILABLE", "the secret store does not answer");
      const versions = values.get(name) ?? [];
      const wanted = version ?? versions.length;
      const value = versions[wanted - 1];
      if (value === undefined) throw new VdcError("NOT_FOUND", `there is no secret '${name}' of version ${wanted}`);
      return { value, version: wanted };
    },
  };
  return secrets;
}
