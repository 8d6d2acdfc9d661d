import { readdirSync } from "node:fs";
import { join } from "node:path";
import { secretStore } from "@vdc-os/core/secret/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { SecretInstance } from "@vdc-os/ready/secret";
import { startKillable } from "./killable-plugin.ts";

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
    async killable() {
      const own = kit.folder();
      const config = { path: join(own, "secrets"), keyFile: join(own, "key"), createKeyFile: true };
      const { implementation, kill } = await startKillable(kit, secretStore, {
        name: kit.plugin.manifest.name,
        config,
        plugins: [],
      });
      return {
        implementation,
        async kill() {
          await kill();
          return (await kit.start(secretStore, { config })).implementation;
        },
        leftovers: () => readdirSync(own).filter((name) => name !== "secrets" && name !== "key"),
      };
    },
  };
}
