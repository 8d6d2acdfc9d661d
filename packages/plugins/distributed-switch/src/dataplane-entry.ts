import { dataPlaneEnvironment, serveDataPlane } from "@vdc-os/core/remote";
import type { SwitchProcessConfig } from "./process/process-protocol.ts";
import { SwitchProcess } from "./process/switch-process.ts";

/** A host's switch process: takes up what the process before left, and serves the control protocol. A host runtime starts this module. */
async function run(): Promise<void> {
  const { config } = dataPlaneEnvironment();
  const served = await SwitchProcess.open({ config: config as unknown as SwitchProcessConfig });
  await serveDataPlane({ methods: served.methods, stop: () => served.close() });
}

run().catch((error: unknown) => {
  process.stderr.write(`the switch process could not start: ${String(error)}\n`);
  process.exit(1);
});
