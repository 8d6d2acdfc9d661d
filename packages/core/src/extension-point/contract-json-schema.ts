import { z } from "zod";
import type { JsonObject } from "../schema/json.ts";
import type { AnyExtensionPoint } from "./extension-point.ts";
import type { OperationDefinition } from "./operation.ts";

/** One operation as JSON: its kind, what it may fail with, and the JSON Schemas (2020-12) of what crosses the wire. */
export interface OperationJsonSchema {
  readonly kind: string;
  readonly summary: string;
  readonly idempotent: boolean;
  readonly errors: readonly string[];
  readonly input: JsonObject;
  /** The result, or one item of a stream or watch. `null` where there is none. */
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

/**
 * Writes a point's contract as JSON Schema, for authors in other languages and for tools that write types. Packages of contracts publish it:
 * that of `@vdc-os/core/storage/v1` is `@vdc-os/core/schemas/storage/v1.json`.
 *
 * - Each schema is a resource of its own, with `$id` `urn:vdc-os:<point>:<version>:<operation>:<input or output>`; the operation is named as on the
 *   wire, `facet.operation` for one of a facet.
 * - Unknown members are let through, because a later minor version adds some: whoever reads leaves them aside.
 * - What zod cannot express (refinements in code) is left out, never an error: a schema may accept what the contract refuses, and refuses
 *   nothing that it accepts.
 */
export function contractJsonSchema(point: AnyExtensionPoint): ContractJsonSchema {
  const base = `urn:vdc-os:${point.id}:${point.version}`;
  return {
    id: point.id,
    version: point.version,
    cardinality: point.cardinality,
    summary: point.summary,
    operations: operationsJsonSchema(point.operations, `${base}:`),
    facets: Object.fromEntries(
      Object.entries(point.facets).map(([name, operations]) => [
        name,
        operationsJsonSchema(operations, `${base}:${name}.`),
      ]),
    ),
  };
}

function operationsJsonSchema(
  operations: Readonly<Record<string, OperationDefinition>>,
  prefix: string,
): Readonly<Record<string, OperationJsonSchema>> {
  return Object.fromEntries(
    Object.entries(operations).map(([name, { kind, summary, idempotent, errors, input, output }]) => [
      name,
      {
        kind,
        summary,
        idempotent,
        errors,
        input: toJsonSchema(input, `${prefix}${name}:input`),
        output: toJsonSchema(output, `${prefix}${name}:output`),
      },
    ]),
  );
}

function toJsonSchema(schema: z.ZodType, id: string): JsonObject {
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    // Both ways it is the side before parsing that crosses the wire.
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      const { type } = zodSchema._zod.def;
      if (type === "void" || type === "undefined") jsonSchema.type = "null";
    },
  });
  return { $schema, $id: id, ...rest } as unknown as JsonObject;
}
