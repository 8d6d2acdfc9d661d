import type { AnyRow, TableCodec } from "../model/table-codec.ts";
import { evaluateClause, type WireClause } from "../transaction/condition.ts";
import type { RowReader } from "./database-cache.ts";

/** The columns that a filter of our own needs besides those that are shown. */
export function filterColumns(columns: ReadonlySet<string>, where: readonly WireClause[] | undefined): Set<string> {
  const needed = new Set(columns);
  for (const [column] of where ?? []) if (column !== "_uuid") needed.add(column);
  return needed;
}

/** Whether one of the clauses holds. */
export function matchesAny(codec: TableCodec, row: AnyRow, where: readonly WireClause[] | undefined): boolean {
  return where === undefined || where.some((clause) => evaluateClause(codec, row, clause));
}

/** Reads rows of a server that knows no conditions (RFC 7047's `monitor`): it tells every row, and those that don't match are left out here. */
export function filteringReader(whereOf: (table: string) => readonly WireClause[] | undefined): RowReader {
  return (table, uuid, json) => {
    const where = whereOf(table.name);
    const needed = filterColumns(table.columns, where);
    const row = table.codec.decodeRow(uuid, json, needed);
    if (!matchesAny(table.codec, row, where)) return undefined;
    if (needed.size === table.columns.size) return row;
    const shown: Record<string, unknown> = { _uuid: uuid };
    for (const column of table.columns) shown[column] = row[column];
    return Object.freeze(shown) as AnyRow;
  };
}
