import type { ColumnName, Writable } from "../model/row-types.ts";
import type { TableCodec } from "../model/table-codec.ts";
import { OvsdbError } from "../ovsdb-error.ts";

type Arithmetic = "+=" | "-=" | "*=" | "/=" | "%=";

type Mutations<C, V> = V extends readonly (infer E)[]
  ?
      | readonly [column: C, mutator: "insert" | "delete", value: Writable<V> | Writable<E>]
      | (E extends number ? readonly [column: C, mutator: Arithmetic, value: number] : never)
  : V extends string | boolean
    ? never
    : V extends number
      ? readonly [column: C, mutator: Arithmetic, value: number]
      : V extends ReadonlyMap<infer K, unknown>
        ?
            | readonly [column: C, mutator: "insert", value: Writable<V>]
            | readonly [column: C, mutator: "delete", value: Writable<V> | readonly Writable<K>[]]
        :
            | readonly [column: C, mutator: "insert", value: Writable<V>]
            | readonly [column: C, mutator: "delete", value: Writable<V> | readonly (keyof V & string)[]];

/**
 * A change that depends on what is there (RFC 7047, section 5.1, `<mutation>`). Into a map, `insert` adds only keys that are not there yet; `delete` takes
 * keys, or pairs that must match.
 */
export type Mutation<R, Immutable> = {
  readonly [C in Exclude<ColumnName<R>, Immutable>]: Mutations<C, Exclude<R[C], undefined>>;
}[Exclude<ColumnName<R>, Immutable>];

const MUTATORS: ReadonlySet<unknown> = new Set(["+=", "-=", "*=", "/=", "%=", "insert", "delete"]);

/** @throws `OVSDB_INVALID_ARGUMENT` */
export function encodeMutation(table: TableCodec, mutation: unknown): readonly unknown[] {
  if (
    !Array.isArray(mutation) ||
    mutation.length !== 3 ||
    typeof mutation[0] !== "string" ||
    !MUTATORS.has(mutation[1])
  ) {
    throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `A mutation of table '${table.name}' is [column, mutator, value].`, {
      details: { table: table.name },
    });
  }
  const [column, mutator, value] = mutation as [string, string, unknown];
  return [
    column,
    mutator,
    table.encode(column, (codec) => codec.encodeArgument(value, { keys: mutator === "delete" })),
  ];
}
