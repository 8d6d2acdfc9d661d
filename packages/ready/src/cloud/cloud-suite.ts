import { type CloudConnector, cloudConnector } from "@vdc-os/core/cloud/v1";
import { defineSuite, type Suite } from "../suite/suite.ts";
import { accountRequirements } from "./account-requirements.ts";
import { cancelRequirements } from "./cancel-requirements.ts";
import type { CloudConnectorInstance } from "./cloud-connector-instance.ts";
import { crashRequirements } from "./crash-requirements.ts";
import { createRequirements } from "./create-requirements.ts";
import { facetRequirements } from "./facet-requirements.ts";
import { hostileRequirements } from "./hostile-requirements.ts";
import { observeRequirements } from "./observe-requirements.ts";

/** The certification suite of `vdc.cloud` 1.0. */
export const cloudSuite: Suite<CloudConnector, CloudConnectorInstance> = defineSuite<
  CloudConnector,
  CloudConnectorInstance
>({
  name: "cloud",
  point: cloudConnector,
  requirements: [
    ...accountRequirements,
    ...createRequirements,
    ...observeRequirements,
    ...facetRequirements,
    ...cancelRequirements,
    ...crashRequirements,
    ...hostileRequirements,
  ],
});
