import { z } from "zod";
import type { OperationContext } from "../../../context/operation-context.ts";
import { identifier, nothing } from "../../../contract/ownership.ts";
import type { OperationsOf } from "../../../extension-point/contract.ts";
import { unary } from "../../../extension-point/operation.ts";
import { type JsonObject, jsonObject } from "../../../schema/json.ts";
import { schemaOf } from "../../../schema/schema-of.ts";
import { type SwitchSpec, switchSpec } from "../switch-spec.ts";

/** A switch's configuration, to keep. */
export interface ConfigArchive {
  readonly format: "vdc.network.config/1";
  readonly generation: number;
  readonly spec: SwitchSpec;
  /** What the provider needs besides, to make the same switch again. */
  readonly opaque: JsonObject;
}

/** A spec that was applied on trial. */
export interface TrialApply {
  readonly rollbackToken: string;
  /** The generation on trial, and the one that holds again after a rollback. */
  readonly generation: number;
  readonly previousGeneration: number;
}

/** Facet `configArchive`. */
export interface ConfigArchiveFacet {
  exportConfig(input: { readonly switchId: string }, context: OperationContext): Promise<ConfigArchive>;
  /**
   * Applies an archive: as the switch that it was (`sameIdentity`, which must not be there: `ALREADY_EXISTS`), as a new one with the id and name given,
   * or over the switch that is there (`overwrite`). What `validateSwitch` refuses is `INVALID_ARGUMENT`.
   */
  importConfig(
    input: {
      readonly archive: ConfigArchive;
      readonly identity:
        | { readonly kind: "sameIdentity" }
        | { readonly kind: "newIdentity"; readonly switchId: string; readonly name: string }
        | { readonly kind: "overwrite" };
      readonly generation: number;
    },
    context: OperationContext,
  ): Promise<SwitchSpec>;
  /**
   * Applies a spec, and takes it back by itself unless it is confirmed in time, also when the provider is ended meanwhile. After a rollback the
   * generation before is desired and in force again, and the one on trial is spent: applying it fails with `ABORTED`.
   */
  applyWithRollback(
    input: { readonly spec: SwitchSpec; readonly generation: number; readonly confirmWithinMs: number },
    context: OperationContext,
  ): Promise<TrialApply>;
  /** Keeps what is on trial. A token whose trial has ended in a rollback is `ABORTED`; confirming again succeeds. */
  confirmApply(input: { readonly rollbackToken: string }, context: OperationContext): Promise<void>;
  /** Takes back what is on trial, at once. */
  rollbackApply(input: { readonly rollbackToken: string }, context: OperationContext): Promise<void>;
}

const archive = schemaOf<ConfigArchive>()(
  z.object({
    format: z.literal("vdc.network.config/1"),
    generation: z.int().positive(),
    spec: switchSpec,
    opaque: jsonObject,
  }),
);
const tokenRef = z.object({ rollbackToken: identifier });

/** The operations of {@link ConfigArchiveFacet}. */
export const configArchiveOperations: OperationsOf<ConfigArchiveFacet> = {
  exportConfig: unary({
    summary: "Returns the configuration in force.",
    input: z.object({ switchId: identifier }),
    output: archive,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  importConfig: unary({
    summary: "Applies an archived configuration.",
    input: z.object({
      archive,
      identity: z.discriminatedUnion("kind", [
        z.object({ kind: z.literal("sameIdentity") }),
        z.object({ kind: z.literal("newIdentity"), switchId: identifier, name: z.string() }),
        z.object({ kind: z.literal("overwrite") }),
      ]),
      generation: z.int().positive(),
    }),
    output: switchSpec,
    idempotent: true,
    errors: ["NOT_FOUND", "ALREADY_EXISTS", "ABORTED"],
  }),
  applyWithRollback: unary({
    summary: "Applies a spec, and takes it back unless it is confirmed in time.",
    input: z.object({ spec: switchSpec, generation: z.int().positive(), confirmWithinMs: z.number().positive() }),
    output: schemaOf<TrialApply>()(
      z.object({ rollbackToken: identifier, generation: z.int(), previousGeneration: z.int() }),
    ),
    idempotent: false,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION", "ABORTED"],
  }),
  confirmApply: unary({
    summary: "Keeps an applied spec.",
    input: tokenRef,
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "ABORTED"],
  }),
  rollbackApply: unary({
    summary: "Takes an applied spec back.",
    input: tokenRef,
    output: nothing,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
};
