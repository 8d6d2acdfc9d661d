import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { nothing, objectName } from "../../contract/ownership.ts";
import { type Page, type PageRequest, pageOf, pageRequestShape } from "../../contract/page.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { unary } from "../../extension-point/operation.ts";
import { schemaOf } from "../../schema/schema-of.ts";

/** A reference to a secret. The inventory, logs and errors hold references only. */
export interface SecretRef {
  readonly name: string;
  /** Which version. Defaults to the newest. */
  readonly version?: number;
}

/**
 * Where secrets are kept. Values leave it only through `resolve`, and never reach a log, an error or the state store. A change that was answered survives
 * `kill -9`; one that was not is made wholly or not at all.
 */
export interface SecretStore {
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  resolve(input: SecretRef, context: OperationContext): Promise<{ readonly value: string; readonly version: number }>;
  /** Creates a secret, or a new version of it. Putting the value that the newest version has returns that version. */
  put(
    input: { readonly name: string; readonly value: string },
    context: OperationContext,
  ): Promise<{ readonly version: number }>;
  /** Puts a fresh random value of that many bytes, as base64url, and keeps the version before it readable. */
  rotate(
    input: { readonly name: string; readonly bytes: number },
    context: OperationContext,
  ): Promise<{ readonly version: number }>;
  /** Removes a secret and all its versions. Removing what is absent succeeds. */
  remove(input: { readonly name: string }, context: OperationContext): Promise<void>;
  /** The names, never the values. */
  list(
    input: PageRequest,
    context: OperationContext,
  ): Promise<Page<{ readonly name: string; readonly version: number }>>;
}

/** Schema of {@link SecretRef}. */
export const secretRef: z.ZodType<SecretRef> = schemaOf<SecretRef>()(
  z.object({ name: objectName, version: z.int().positive().exactOptional() }),
);

const version = z.object({ version: z.int().positive() });

/** The extension point for secret stores. */
export const secretStore: ExtensionPoint<SecretStore> = defineExtensionPoint<SecretStore>()({
  id: "vdc.secret",
  version: "1.0",
  cardinality: "one",
  summary: "Where secrets are kept.",
  operations: {
    describe: describeOperation,
    resolve: unary({
      summary: "Returns a secret's value.",
      input: secretRef,
      output: z.object({ value: z.string(), version: z.int().positive() }),
      idempotent: true,
      errors: ["NOT_FOUND", "PERMISSION_DENIED", "DATA_LOSS"],
    }),
    put: unary({
      summary: "Stores a value as the newest version of a secret.",
      input: z.object({ name: objectName, value: z.string().max(65536) }),
      output: version,
      idempotent: true,
      errors: ["RESOURCE_EXHAUSTED", "PERMISSION_DENIED"],
    }),
    rotate: unary({
      summary: "Stores a fresh random value as the newest version of a secret.",
      input: z.object({ name: objectName, bytes: z.int().min(16).max(4096) }),
      output: version,
      idempotent: false,
      errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED"],
    }),
    remove: unary({
      summary: "Removes a secret; removing what is absent succeeds.",
      input: z.object({ name: objectName }),
      output: nothing,
      idempotent: true,
      errors: ["PERMISSION_DENIED"],
    }),
    list: unary({
      summary: "Lists the names of secrets.",
      input: z.object(pageRequestShape),
      output: pageOf(z.object({ name: z.string(), version: z.int().positive() })),
      idempotent: true,
      errors: ["ABORTED"],
    }),
  },
  facets: {},
});
