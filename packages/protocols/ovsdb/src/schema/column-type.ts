/** The five atomic types of RFC 7047, section 3.1. */
export type AtomType = "integer" | "real" | "boolean" | "string" | "uuid";

/** An atom with its constraints: RFC 7047, section 3.2, `<base-type>`. */
export interface BaseType {
  readonly type: AtomType;
  /** The only values allowed, in canonical order, as they are on the wire. */
  readonly enum?: readonly unknown[];
  readonly minInteger?: number | bigint;
  readonly maxInteger?: number | bigint;
  readonly minReal?: number;
  readonly maxReal?: number;
  /** In characters. */
  readonly minLength?: number;
  /** In characters. */
  readonly maxLength?: number;
  /** The table that a uuid refers to. */
  readonly refTable?: string;
  /** `strong` (a row lives as long as something refers to it) unless said otherwise. */
  readonly refType?: "strong" | "weak";
}

/** What a column holds: RFC 7047, section 3.2, `<type>`. A column with `value` is a map. */
export interface ColumnType {
  readonly key: BaseType;
  readonly value?: BaseType;
  /** The least number of elements. */
  readonly min: 0 | 1;
  /** The greatest number of elements. */
  readonly max: number | "unlimited";
}

/**
 * How a column's value reads in a row:
 *
 * - `scalar`: exactly one atom;
 * - `optional`: one atom or `undefined`;
 * - `set`: a frozen array in canonical order;
 * - `record`: a map with string keys, a frozen object without prototype;
 * - `map`: a map with other keys, a `ReadonlyMap`.
 */
export type ColumnShape = "scalar" | "optional" | "set" | "record" | "map";

export function columnShape(type: ColumnType): ColumnShape {
  if (type.value !== undefined) return type.key.type === "string" ? "record" : "map";
  if (type.max !== 1) return "set";
  return type.min === 1 ? "scalar" : "optional";
}

/** Whether values of the two types read alike and look alike on the wire; constraints are not compared. */
export function sameColumnShape(a: ColumnType, b: ColumnType): boolean {
  return a.key.type === b.key.type && a.value?.type === b.value?.type && columnShape(a) === columnShape(b);
}
