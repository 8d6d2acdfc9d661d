import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { schemaOf } from "../../../schema/schema-of.ts";
import { type PortReference, portReferenceShape } from "./port-reference.ts";

/** What a switch would do with a frame, and why. */
export interface FrameExplanation {
  readonly verdict: "forward" | "flood" | "drop";
  /** Why: the reason under which a dropped frame is counted, or what made the way known. */
  readonly reason: string;
  /** The ports that it would leave by. */
  readonly ports: readonly string[];
  /** The hosts that it would be sent to. */
  readonly hosts: readonly string[];
  /** Each decision on the way, in order. */
  readonly steps: readonly { readonly stage: string; readonly detail: string }[];
}

/** Facet `explain` (ofproto/trace, ovn-trace): changes nothing, and is counted nowhere. */
export interface ExplainFacet {
  /** `frame` is what the port's VM would send, base64. */
  explainFrame(input: PortReference & { readonly frame: string }, context: OperationContext): Promise<FrameExplanation>;
}

/** The operations of {@link ExplainFacet}. */
export const explainOperations: OperationsOf<ExplainFacet> = {
  explainFrame: unary({
    summary: "Tells what would be done with a frame, and why.",
    input: z.object({ ...portReferenceShape, frame: z.string() }),
    output: schemaOf<FrameExplanation>()(
      z.object({
        verdict: z.enum(["forward", "flood", "drop"]),
        reason: z.string(),
        ports: z.array(z.string()),
        hosts: z.array(z.string()),
        steps: z.array(z.object({ stage: z.string(), detail: z.string() })),
      }),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
