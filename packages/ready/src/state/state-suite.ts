import { type StateStore, stateStore } from "@vdc-os/core/state/v1";
import { defineSuite, type Suite } from "../suite/suite.ts";
import { cancelRequirements } from "./cancel-requirements.ts";
import { crashRequirements } from "./crash-requirements.ts";
import { facetRequirements } from "./facet-requirements.ts";
import { hostileRequirements } from "./hostile-requirements.ts";
import { leaseRequirements } from "./lease-requirements.ts";
import { listRequirements } from "./list-requirements.ts";
import type { StateInstance } from "./state-instance.ts";
import { transactRequirements } from "./transact-requirements.ts";
import { watchRequirements } from "./watch-requirements.ts";

/** The certification suite of `vdc.state` 1.0. */
export const stateSuite: Suite<StateStore, StateInstance> = defineSuite<StateStore, StateInstance>({
  name: "state",
  point: stateStore,
  requirements: [
    ...transactRequirements,
    ...listRequirements,
    ...watchRequirements,
    ...leaseRequirements,
    ...facetRequirements,
    ...cancelRequirements,
    ...crashRequirements,
    ...hostileRequirements,
  ],
});
