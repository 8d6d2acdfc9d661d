import { z } from "zod";
import type { JsonObject } from "../schema/json.ts";
import type { AnyExtensionPoint } from "./extension-point.ts";
import type { OperationDefinition } from "./operation.ts";

/** One operation as JSON: its kind, what it may fail with, and the JSON Schemas (draft 2020-12) of what crosses it. */
export interface OperationJsonSchema {
  readonly kind: string;
  readonly summary: string;
  readonly idempotent: boolean;
  readonly errors: readonly string[];
  readonly input: JsonObject;
  /** The result, or one item of a stream or watch. */
  readonly output: JsonObject;
}

/** A contract as JSON, for authors in other languages. */
export interface ContractJsonSchema {
  readonly id: string;
  readonly version: string;
  readonly cardinality: string;
  readonly summary: string;
  readonly operations: Readonly<Record<string, OperationJsonSchema>>;
  readonly facets: Readonly<Record<string, Readonly<Record<string, OperationJsonSchema>>>>;
}

/** Writes a point's contract as JSON Schema. What zod cannot express (refinements in code) is left out, never an error. */
export function contractJsonSchema(point: AnyExtensionPoint): ContractJsonSchema {
  return {
    id: point.id,
    version: point.version,
    cardinality: point.cardinality,
    summary: point.summary,
    operations: operationsJsonSchema(point.operations),
    facets: Object.fromEntries(
      Object.entries(point.facets).map(([name, operations]) => [name, operationsJsonSchema(operations)]),
    ),
  };
}

function operationsJsonSchema(
  operations: Readonly<Record<string, OperationDefinition>>,
): Readonly<Record<string, OperationJsonSchema>> {
  return Object.fromEntries(
    Object.entries(operations).map(([name, { kind, summary, idempotent, errors, input, output }]) => [
      name,
      { kind, summary, idempotent, errors, input: toJsonSchema(input), output: toJsonSchema(output) },
    ]),
  );
}

function toJsonSchema(schema: z.ZodType): JsonObject {
  return z.toJSONSchema(schema, { unrepresentable: "any" }) as unknown as JsonObject;
}
