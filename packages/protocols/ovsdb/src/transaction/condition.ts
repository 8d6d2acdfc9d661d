import { InsertedRow } from "../model/inserted-row.ts";
import type { ColumnName, UntypedRow, Uuid, Writable } from "../model/row-types.ts";
import type { AnyRow, TableCodec } from "../model/table-codec.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import { type Atom, compareAtoms, isUuidText } from "../values/atom.ts";
import { decodeElements, type Elements, equalElements } from "../values/elements.ts";

/** RFC 7047, section 5.1, `<function>`. */
export type ConditionFunction = "==" | "!=" | "<" | "<=" | ">" | ">=" | "includes" | "excludes";

type Element<V> = V extends readonly (infer E)[] ? E : never;

/** What a column may be compared with: a whole value; for `includes` and `excludes` also one element, or a part of a set or map. */
export type ConditionValue<V> = Writable<V> | Writable<Element<V>>;

/** One condition on a row: column, function, value. */
export type Clause<R> = {
  readonly [C in keyof R]-?: readonly [column: C, function: ConditionFunction, value: ConditionValue<R[C]>];
}[keyof R];

/**
 * Which rows an operation is about: one by its uuid, one that the same transaction inserts, those whose columns have these values, or those for which
 * every clause holds. An empty array is every row; an empty object is refused, because it is rarely meant.
 */
export type Where<R> =
  | (R extends { readonly _uuid: Uuid<infer T> } ? Uuid<T> | InsertedRow<T> : never)
  | { readonly [C in keyof R]?: Writable<R[C]> }
  | readonly Clause<R>[];

const FUNCTIONS: ReadonlySet<unknown> = new Set<ConditionFunction>([
  "==",
  "!=",
  "<",
  "<=",
  ">",
  ">=",
  "includes",
  "excludes",
]);

/** A condition as it is on the wire. */
export type WireClause = readonly [column: string, function: ConditionFunction, value: unknown];

/** @throws `OVSDB_INVALID_ARGUMENT` */
export function encodeWhere(table: TableCodec, where: unknown): readonly WireClause[] {
  if (where instanceof InsertedRow) {
    if (where.table !== table.name)
      throw invalid(table, `a row of table '${where.table}' is not one of '${table.name}'`);
    return [["_uuid", "==", ["named-uuid", where.name]]];
  }
  if (isUuidText(where)) return [["_uuid", "==", ["uuid", where]]];
  if (Array.isArray(where)) return where.map((clause) => encodeClause(table, clause));
  if (typeof where !== "object" || where === null) throw invalid(table, "a condition is a uuid, an object or an array");
  const clauses = Object.entries(where).map(
    ([column, value]): WireClause => [column, "==", table.encode(column, (codec) => codec.encode(value))],
  );
  if (clauses.length === 0) throw invalid(table, "an empty object is no condition; write [] for every row");
  return clauses;
}

/** @throws `OVSDB_INVALID_ARGUMENT` */
export function encodeClause(table: TableCodec, clause: unknown): WireClause {
  if (!Array.isArray(clause) || clause.length !== 3 || typeof clause[0] !== "string" || !FUNCTIONS.has(clause[1])) {
    throw invalid(table, "a clause is [column, function, value]");
  }
  const [column, name, value] = clause as [string, ConditionFunction, unknown];
  const encoded = table.encode(column, (codec) =>
    name === "==" || name === "!=" ? codec.encode(value) : codec.encodeArgument(value),
  );
  return [column, name, encoded];
}

function invalid(table: TableCodec, text: string): OvsdbError {
  return new OvsdbError("OVSDB_INVALID_ARGUMENT", `Condition on table '${table.name}': ${text}.`, {
    details: { table: table.name },
  });
}

/** Whether a condition holds for a row, as a server judges it (RFC 7047, section 5.1, `<condition>`). */
export function evaluateClause(table: TableCodec, row: AnyRow, [column, name, json]: WireClause): boolean {
  const codec = table.column(column);
  const value = codec.toElements(row[column]);
  return evaluateCondition(value, name, decodeElements(codec.type, json));
}

/** The same, of a column's elements. */
export function evaluateCondition(value: Elements, name: ConditionFunction, argument: Elements): boolean {
  switch (name) {
    case "==":
      return equalElements(value, argument);
    case "!=":
      return !equalElements(value, argument);
    case "includes":
      return argument.keys.every((_, index) => holds(value, argument, index));
    case "excludes":
      return !argument.keys.some((_, index) => holds(value, argument, index));
    default: {
      // An empty optional column is neither less nor greater than anything.
      const [left, right]: readonly (Atom | undefined)[] = [value.keys[0], argument.keys[0]];
      if (left === undefined || right === undefined) return false;
      const order = compareAtoms(left, right);
      return name === "<" ? order < 0 : name === "<=" ? order <= 0 : name === ">" ? order > 0 : order >= 0;
    }
  }
}

function holds(value: Elements, argument: Elements, index: number): boolean {
  const at = value.keys.findIndex((key) => compareAtoms(key, argument.keys[index]!) === 0);
  if (at < 0) return false;
  return value.values === undefined || compareAtoms(value.values[at]!, argument.values![index]!) === 0;
}

/** Untyped clauses, for schemas that are known at run time alone. */
export type UntypedClause = readonly [column: ColumnName<UntypedRow>, function: ConditionFunction, value: unknown];
