import type { ColumnName, DatabaseShape, Row, SelectedRow, TableName, Uuid } from "../model/row-types.ts";
import { TableCodec } from "../model/table-codec.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import type { DatabaseSchema } from "../schema/database-schema.ts";
import { type Clause, encodeClause, type WireClause } from "../transaction/condition.ts";

/** The rows to see: those for which one of the clauses holds. `[]` is no row at all. */
export type MonitorWhere<R> = readonly Clause<R>[];

/** What of a table a monitor sees: `true` is every column of every row. */
export type MonitorTable<R> =
  | true
  | readonly ColumnName<R>[]
  | {
      /** Defaults to every column. */
      readonly columns?: readonly ColumnName<R>[];
      /** Defaults to every row. */
      readonly where?: MonitorWhere<R>;
    };

export type MonitorTables<D extends DatabaseShape> = {
  readonly [T in TableName<D>]?: MonitorTable<Row<D, T>>;
};

type SelectedColumns<R, S> = S extends readonly (infer C)[]
  ? C
  : S extends { readonly columns: readonly (infer C)[] }
    ? C
    : ColumnName<R>;

/** The rows that a monitor of these tables holds. */
export type RowsOf<D extends DatabaseShape, S extends MonitorTables<D>> = {
  readonly [T in keyof S & TableName<D>]: Row<D, T> extends infer R extends { readonly _uuid: Uuid }
    ? ColumnName<R> extends SelectedColumns<R, S[T]>
      ? R
      : SelectedRow<R, (SelectedColumns<R, S[T]> & keyof R) | "_uuid"> & { readonly _uuid: R["_uuid"] }
    : never;
};

/** The whole rows of the tables of such a monitor: what conditions are about. */
export type WholeRowsOf<D extends DatabaseShape, S extends MonitorTables<D>> = {
  readonly [T in keyof S & TableName<D>]: Row<D, T>;
};

/** New conditions for tables of a monitor. `true` is every row. */
export type MonitorConditions<R extends { readonly [table: string]: object }> = {
  readonly [T in keyof R]?: true | MonitorWhere<R[T]>;
};

/** What is asked of one table, ready for the wire. */
export interface TableRequest {
  readonly codec: TableCodec;
  readonly columns: ReadonlySet<string>;
  /** `undefined`: every row. */
  readonly where: readonly WireClause[] | undefined;
}

/** @throws `OVSDB_INVALID_ARGUMENT` */
export function readMonitorTables(
  schema: DatabaseSchema,
  tables: { readonly [table: string]: unknown },
): Map<string, TableRequest> {
  const requests = new Map<string, TableRequest>();
  for (const [name, wanted] of Object.entries(tables)) {
    if (wanted === undefined) continue;
    const table = schema.tables.get(name);
    if (table === undefined) {
      throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `Database '${schema.name}' has no table '${name}'.`, {
        details: { table: name },
      });
    }
    const codec = new TableCodec(name, table);
    const { columns, where } = (Array.isArray(wanted) ? { columns: wanted } : wanted === true ? {} : wanted) as {
      readonly columns?: readonly string[];
      readonly where?: unknown;
    };
    for (const column of columns ?? []) codec.column(column);
    const selected = new Set(columns ?? table.columns.keys());
    selected.delete("_uuid");
    requests.set(name, { codec, columns: selected, where: readMonitorWhere(codec, where) });
  }
  if (requests.size === 0) throw new OvsdbError("OVSDB_INVALID_ARGUMENT", "A monitor needs one table at least.");
  return requests;
}

/** @throws `OVSDB_INVALID_ARGUMENT` */
export function readMonitorWhere(codec: TableCodec, where: unknown): readonly WireClause[] | undefined {
  if (where === undefined || where === true) return undefined;
  if (!Array.isArray(where)) {
    throw new OvsdbError(
      "OVSDB_INVALID_ARGUMENT",
      `The rows to monitor of table '${codec.name}' are no array of clauses.`,
    );
  }
  return where.map((clause) => encodeClause(codec, clause));
}

/** A condition for `monitor_cond`: to a server an empty array is every row, to us it is none. */
export function wireCondition(where: readonly WireClause[] | undefined): readonly unknown[] {
  return where === undefined ? [true] : where.length === 0 ? [false] : where;
}
