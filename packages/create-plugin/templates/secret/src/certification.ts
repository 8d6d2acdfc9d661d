import { secretStore } from "@vdc-os/core/secret/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { SecretInstance } from "@vdc-os/ready/secret";

/** What the secret suite is run on: the plugin, with a vault of its own for each requirement. */
export async function create(kit: CertificationKit): Promise<SecretInstance> {
  const config = { name: "certified", address: kit.folder() };
  const first = await kit.start(secretStore, { config });
  return {
    implementation: first.implementation,
    restart: async () => {
      await first.stop();
      return (await kit.start(secretStore, { config })).implementation;
    },
  };
}
