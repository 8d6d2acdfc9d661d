import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import { identifier } from "../../../contract/ownership.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { schemaOf } from "../../../schema/schema-of.ts";
import { type EffectiveSettingFacet, effectiveSettingOperations } from "./effective-setting.ts";

/** A host's uplink as it is. */
export interface UplinkState {
  readonly host: string;
  readonly uplink: string;
  readonly link: "up" | "down";
  /** The ports that use it now. */
  readonly ports: readonly string[];
  readonly detail: string;
}

/** Facet `teaming`: which uplink a port uses, and when it takes another. */
export interface TeamingFacet extends EffectiveSettingFacet {
  uplinkStates(input: { readonly switchId: string }, context: OperationContext): Promise<readonly UplinkState[]>;
}

/** The operations of {@link TeamingFacet}. */
export const teamingOperations: OperationsOf<TeamingFacet> = {
  ...effectiveSettingOperations,
  uplinkStates: unary({
    summary: "Tells the uplinks of all members, and which ports use them.",
    input: z.object({ switchId: identifier }),
    output: z.array(
      schemaOf<UplinkState>()(
        z.object({
          host: z.string(),
          uplink: z.string(),
          link: z.enum(["up", "down"]),
          ports: z.array(z.string()),
          detail: z.string(),
        }),
      ),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
