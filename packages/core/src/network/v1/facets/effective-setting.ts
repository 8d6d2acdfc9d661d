import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { type PortSetting, portSetting } from "../port-setting.ts";
import { type PortReference, portReferenceShape } from "./port-reference.ts";

/**
 * What the facets `pvlan`, `shaping`, `securityPolicy`, `macLearning`, `accessControl`, `mirroring`, `flowExport`, `multicastSnooping` and `dhcp`
 * have in common: they are settings of the spec, and this reads back what is really in force, which may be less than what was asked.
 */
export interface EffectiveSettingFacet {
  /** The setting that the data path applies to a port now, in the values that it works with. A port that is not connected is `NOT_FOUND`. */
  effectiveSetting(input: PortReference, context: OperationContext): Promise<PortSetting>;
}

/** The operations of {@link EffectiveSettingFacet}. */
export const effectiveSettingOperations: OperationsOf<EffectiveSettingFacet> = {
  effectiveSetting: unary({
    summary: "Reads back the setting that is in force for a port.",
    input: z.object(portReferenceShape),
    output: portSetting,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
