import { join } from "node:path";
import { stateStore } from "@vdc-os/core/state/v1";
import { createTestClock } from "@vdc-os/core/testing";
import type { CertificationKit } from "@vdc-os/ready";
import type { StateInstance } from "@vdc-os/ready/state";
import { startKillable } from "./killable-plugin.ts";

/** What the state suite is run on: the plugin, with a database of its own. */
export async function create(kit: CertificationKit): Promise<StateInstance> {
  const clock = createTestClock();
  const directory = kit.folder();
  const first = await kit.start(stateStore, { config: { directory }, clock });
  return {
    implementation: first.implementation,
    clock,
    backupPath: join(directory, "backup.db"),
    restart: async () => {
      await first.stop();
      return (await kit.start(stateStore, { config: { directory }, clock })).implementation;
    },
    async killable() {
      const config = { directory: kit.folder() };
      const { implementation, kill } = await startKillable(kit, stateStore, {
        name: kit.plugin.manifest.name,
        config,
        plugins: [],
      });
      return {
        implementation,
        async kill() {
          await kill();
          return (await kit.start(stateStore, { config })).implementation;
        },
      };
    },
  };
}
