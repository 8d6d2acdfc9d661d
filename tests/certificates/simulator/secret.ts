import { secretStore } from "@vdc-os/core/secret/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { SecretInstance } from "@vdc-os/ready/secret";
import { makeWorld } from "./plugin.ts";

/** What the secret suite is run on. */
export async function create(kit: CertificationKit): Promise<SecretInstance> {
  makeWorld(kit);
  let running = await kit.start(secretStore);
  return {
    implementation: running.implementation,
    async restart() {
      await running.stop();
      running = await kit.start(secretStore);
      return running.implementation;
    },
  };
}
