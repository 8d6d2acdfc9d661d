import { join } from "node:path";
import { stateStore } from "@vdc-os/core/state/v1";
import { createTestClock } from "@vdc-os/core/testing";
import type { CertificationKit } from "@vdc-os/ready";
import type { StateInstance } from "@vdc-os/ready/state";
import { makeWorld } from "./plugin.ts";

/** What the state suite is run on. */
export async function create(kit: CertificationKit): Promise<StateInstance> {
  const clock = createTestClock();
  makeWorld(kit, { clock });
  let running = await kit.start(stateStore, { clock });
  return {
    implementation: running.implementation,
    clock,
    backupPath: join(kit.folder(), "backup.json"),
    async restart() {
      await running.stop();
      running = await kit.start(stateStore, { clock });
      return running.implementation;
    },
  };
}
