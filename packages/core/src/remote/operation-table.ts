import type { AnyExtensionPoint } from "../extension-point/extension-point.ts";
import type { OperationDefinition } from "../extension-point/operation.ts";

/** One operation of a point as it is named on the wire. */
export interface WireOperation {
  /** `operation`, or `facet.operation`. */
  readonly wireName: string;
  readonly facet: string | undefined;
  readonly name: string;
  readonly definition: OperationDefinition;
  /** The wire has no `undefined`: a null that the schema refuses where it accepts nothing is nothing. */
  readonly nullIsNothing: boolean;
}

const tables = new WeakMap<AnyExtensionPoint, ReadonlyMap<string, WireOperation>>();

/** The operations of a point by their names on the wire. */
export function operationTable(point: AnyExtensionPoint): ReadonlyMap<string, WireOperation> {
  const known = tables.get(point);
  if (known !== undefined) return known;
  const table = new Map<string, WireOperation>();
  for (const [name, definition] of Object.entries(point.operations)) add(table, undefined, name, definition);
  for (const [facet, operations] of Object.entries(point.facets)) {
    for (const [name, definition] of Object.entries(operations)) add(table, facet, name, definition);
  }
  tables.set(point, table);
  return table;
}

function add(
  table: Map<string, WireOperation>,
  facet: string | undefined,
  name: string,
  definition: OperationDefinition,
): void {
  const wireName = facet === undefined ? name : `${facet}.${name}`;
  const nullIsNothing = !definition.output.safeParse(null).success && definition.output.safeParse(undefined).success;
  table.set(wireName, { wireName, facet, name, definition, nullIsNothing });
}
