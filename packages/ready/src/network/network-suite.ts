import { type DistributedSwitch, distributedSwitch } from "@vdc-os/core/network/v1";
import { archiveRequirements } from "./archive-requirements.ts";
import { concurrencyRequirements } from "./concurrency-requirements.ts";
import { diagnosisRequirements } from "./diagnosis-requirements.ts";
import { flowRequirements } from "./flow-requirements.ts";
import { hostileRequirements } from "./hostile-requirements.ts";
import { interruptionRequirements } from "./interruption-requirements.ts";
import { migrationRequirements } from "./migration-requirements.ts";
import { settingRequirements } from "./setting-requirements.ts";
import { uplinkRequirements } from "./uplink-requirements.ts";
import { defineSuite, type Suite } from "../suite/suite.ts";
import { gateRequirements } from "./gate-requirements.ts";
import type { NetworkInstance } from "./network-instance.ts";
import { portRequirements } from "./port-requirements.ts";
import { specRequirements } from "./spec-requirements.ts";
import { statusRequirements } from "./status-requirements.ts";
import { trafficRequirements } from "./traffic-requirements.ts";

/** The certification suite of `vdc.network` 1.0. It plays the VMs' NICs and sends real frames. */
export const networkSuite: Suite<DistributedSwitch, NetworkInstance> = defineSuite<DistributedSwitch, NetworkInstance>({
  name: "network",
  point: distributedSwitch,
  requirements: [
    ...specRequirements,
    ...portRequirements,
    ...trafficRequirements,
    ...settingRequirements,
    ...uplinkRequirements,
    ...gateRequirements,
    ...migrationRequirements,
    ...statusRequirements,
    ...flowRequirements,
    ...archiveRequirements,
    ...diagnosisRequirements,
    ...concurrencyRequirements,
    ...interruptionRequirements,
    ...hostileRequirements,
  ],
});
