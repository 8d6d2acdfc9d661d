import { type HostRuntime, hostRuntime } from "@vdc-os/core/host/v1";
import { defineSuite, type Suite } from "../suite/suite.ts";
import { commandRequirements } from "./command-requirements.ts";
import { endRequirements } from "./end-requirements.ts";
import { ensureRequirements } from "./ensure-requirements.ts";
import type { HostInstance } from "./host-instance.ts";
import { hostileRequirements } from "./hostile-requirements.ts";
import { logRequirements } from "./log-requirements.ts";
import { observeRequirements } from "./observe-requirements.ts";
import { pressureRequirements } from "./pressure-requirements.ts";
import { reopenRequirements } from "./reopen-requirements.ts";
import { requestRequirements } from "./request-requirements.ts";

/** The certification suite of `vdc.host` 1.0. */
export const hostSuite: Suite<HostRuntime, HostInstance> = defineSuite<HostRuntime, HostInstance>({
  name: "host",
  point: hostRuntime,
  requirements: [
    ...ensureRequirements,
    ...commandRequirements,
    ...endRequirements,
    ...observeRequirements,
    ...requestRequirements,
    ...logRequirements,
    ...pressureRequirements,
    ...reopenRequirements,
    ...hostileRequirements,
  ],
});
