import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import { type Generation, generation, nothing } from "../../../contract/ownership.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { type PortGate, portGate } from "../port.ts";
import { type PortReference, portReferenceShape } from "./port-reference.ts";

/** Facet `gate`: the network part of VMotion and Fault Tolerance (output commit). */
export interface GateFacet {
  setGate(
    input: PortReference & { readonly gate: PortGate; readonly generation: Generation },
    context: OperationContext,
  ): Promise<void>;
  /** How many frames are held now. A mark for `releaseHeld`. */
  heldFrames(input: PortReference, context: OperationContext): Promise<{ readonly frames: number }>;
  /** Lets the first `frames` held frames through, in order; the gate stays as it is. */
  releaseHeld(
    input: PortReference & { readonly frames: number; readonly generation: Generation },
    context: OperationContext,
  ): Promise<{ readonly released: number }>;
  /** Forgets the held frames. */
  discardHeld(
    input: PortReference & { readonly generation: Generation },
    context: OperationContext,
  ): Promise<{ readonly discarded: number }>;
}

/** The operations of {@link GateFacet}. */
export const gateOperations: OperationsOf<GateFacet> = {
  setGate: unary({
    summary: "Opens, holds or closes a port for what its VM sends.",
    input: z.object({ ...portReferenceShape, gate: portGate, generation }),
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  heldFrames: unary({
    summary: "Tells how many frames are held.",
    input: z.object(portReferenceShape),
    output: z.object({ frames: z.int() }),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  releaseHeld: unary({
    summary: "Lets the first held frames through.",
    input: z.object({ ...portReferenceShape, frames: z.int().nonnegative(), generation }),
    output: z.object({ released: z.int() }),
    idempotent: false,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  discardHeld: unary({
    summary: "Forgets the held frames.",
    input: z.object({ ...portReferenceShape, generation }),
    output: z.object({ discarded: z.int() }),
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
};
