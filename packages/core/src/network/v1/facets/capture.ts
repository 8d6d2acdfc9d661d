import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { stream } from "../../../extension-point/operation.ts";
import { schemaOf } from "../../../schema/schema-of.ts";
import { type PortReference, portReferenceShape } from "./port-reference.ts";

/** A captured frame. */
export interface CapturedFrame {
  /** Microseconds since 1970, UTC. */
  readonly atMicroseconds: number;
  /** `in` is what the VM sends. */
  readonly direction: "in" | "out";
  readonly originalLength: number;
  /** The frame, base64, cut to the capture's snap length. */
  readonly data: string;
  /** Why the switch dropped it, if it did. */
  readonly dropped?: string;
  /** Frames that were lost to the capture since the frame before, because they came faster than they were read. */
  readonly missed: number;
}

/** Facet `capture`. The data path never waits for whoever reads a capture. */
export interface CaptureFacet {
  /** Ends after `maxFrames`, when it is cancelled, or when the port is disconnected. */
  capturePort(
    input: PortReference & { readonly snapLength: number; readonly maxFrames: number },
    context: OperationContext,
  ): AsyncIterable<CapturedFrame>;
}

/** The operations of {@link CaptureFacet}. */
export const captureOperations: OperationsOf<CaptureFacet> = {
  capturePort: stream({
    summary: "Streams the frames of a port.",
    input: z.object({
      ...portReferenceShape,
      snapLength: z.int().min(14).max(65535),
      maxFrames: z.int().positive(),
    }),
    output: schemaOf<CapturedFrame>()(
      z.object({
        atMicroseconds: z.number(),
        direction: z.enum(["in", "out"]),
        originalLength: z.int(),
        data: z.string(),
        dropped: z.string().exactOptional(),
        missed: z.int().nonnegative(),
      }),
    ),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};
