import { OvsdbError } from "../ovsdb-error.ts";
import { sameColumnShape } from "../schema/column-type.ts";
import type { DatabaseSchema } from "../schema/database-schema.ts";

/** What of a model the server at hand has. */
export class ServerSchema {
  readonly schema: DatabaseSchema;
  readonly #model: DatabaseSchema;

  constructor(schema: DatabaseSchema, model: DatabaseSchema) {
    this.schema = schema;
    this.#model = model;
  }

  hasTable(table: string): boolean {
    return this.schema.tables.has(table);
  }

  /** Whether the server has the column. One that it has with another type counts as there. */
  hasColumn(table: string, column: string): boolean {
    return column.startsWith("_") || this.schema.tables.get(table)?.columns.has(column) === true;
  }

  /** @throws `OVSDB_SCHEMA_MISMATCH`: the server has no such table or column, or has the column with another type */
  require(table: string, columns: Iterable<string>): void {
    if (!this.hasTable(table)) throw mismatch(`has no table '${table}'`, { table }, this.schema);
    for (const column of columns) {
      if (!this.hasColumn(table, column)) {
        throw mismatch(`has no column '${column}' in table '${table}'`, { table, column }, this.schema);
      }
      this.requireType(table, column);
    }
  }

  /** @throws `OVSDB_SCHEMA_MISMATCH`: the server has the column with another type */
  requireType(table: string, column: string): void {
    const theirs = this.schema.tables.get(table)?.columns.get(column)?.type;
    const ours = this.#model.tables.get(table)?.columns.get(column)?.type;
    if (theirs === undefined || ours === undefined || sameColumnShape(theirs, ours)) return;
    throw mismatch(`has column '${column}' of table '${table}' with another type`, { table, column }, this.schema);
  }
}

function mismatch(
  text: string,
  details: { readonly table: string; readonly column?: string },
  { name, version }: DatabaseSchema,
): OvsdbError {
  return new OvsdbError("OVSDB_SCHEMA_MISMATCH", `The server's database '${name}' (schema ${version}) ${text}.`, {
    details,
  });
}
