import { join } from "node:path";
import { secretStore } from "@vdc-os/core/secret/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { SecretInstance } from "@vdc-os/ready/secret";

/** What the secret suite is run on: the plugin, with a file and a key of its own. */
export async function create(kit: CertificationKit): Promise<SecretInstance> {
  const folder = kit.folder();
  const config = { path: join(folder, "secrets"), keyFile: join(folder, "key"), createKeyFile: true };
  const first = await kit.start(secretStore, { config });
  return {
    implementation: first.implementation,
    restart: async () => {
      await first.stop();
      return (await kit.start(secretStore, { config })).implementation;
    },
  };
}
