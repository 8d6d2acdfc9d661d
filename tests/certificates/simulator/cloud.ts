import { cloudConnector } from "@vdc-os/core/cloud/v1";
import type { CertificationKit } from "@vdc-os/ready";
import type { CloudConnectorInstance } from "@vdc-os/ready/cloud";
import { makeWorld } from "./plugin.ts";

/** What the cloud suite is run on. */
export async function create(kit: CertificationKit): Promise<CloudConnectorInstance> {
  const world = makeWorld(kit, { cloud: { createMs: 15, removeMs: 15 } });
  return {
    implementation: (await kit.start(cloudConnector)).implementation,
    request: { image: "debian", size: "small", networks: ["default"] },
    // A plugin has no credentials of its own in a simulated world.
    wrongCredentials: () => world.cloud("simulated", { authenticated: false }),
    loseNextAnswer: () => void world.faults.add({ operation: "createInstance", nth: 1, crashAfter: true }),
    reopen: async () => (await kit.start(cloudConnector)).implementation,
    makeForeign: () => world.cloudAccount().addForeign("foreign").instanceId,
  };
}
