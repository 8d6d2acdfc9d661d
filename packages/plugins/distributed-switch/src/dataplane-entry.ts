import { dataPlaneEnvironment, serveDataPlane } from "@vdc-os/core/remote";
import type { SwitchProcessConfig } from "./process/process-protocol.ts";
import { SwitchProcess } from "./process/switch-process.ts";

// The module of a host's switch process; a host runtime starts it.
const { config } = dataPlaneEnvironment();
const served = await SwitchProcess.open({ config: config as unknown as SwitchProcessConfig });
await serveDataPlane({ methods: served.methods, stop: () => served.close() });
