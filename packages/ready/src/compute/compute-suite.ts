import { type Hypervisor, hypervisor } from "@vdc-os/core/compute/v1";
import { defineSuite, type Suite } from "../suite/suite.ts";
import type { ComputeInstance } from "./compute-instance.ts";
import { concurrencyRequirements } from "./concurrency-requirements.ts";
import { consoleRequirements } from "./console-requirements.ts";
import { defineRequirements } from "./define-requirements.ts";
import { diskRequirements } from "./disk-requirements.ts";
import { hostileRequirements } from "./hostile-requirements.ts";
import { interruptionRequirements } from "./interruption-requirements.ts";
import { observeRequirements } from "./observe-requirements.ts";
import { powerRequirements } from "./power-requirements.ts";
import { reopenRequirements } from "./reopen-requirements.ts";
import { resizeRequirements } from "./resize-requirements.ts";

/** The certification suite of `vdc.compute` 1.0. */
export const computeSuite: Suite<Hypervisor, ComputeInstance> = defineSuite<Hypervisor, ComputeInstance>({
  name: "compute",
  point: hypervisor,
  requirements: [
    ...defineRequirements,
    ...powerRequirements,
    ...consoleRequirements,
    ...observeRequirements,
    ...reopenRequirements,
    ...diskRequirements,
    ...resizeRequirements,
    ...concurrencyRequirements,
    ...interruptionRequirements,
    ...hostileRequirements,
  ],
});
