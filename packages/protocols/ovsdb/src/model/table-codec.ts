import { OvsdbError } from "../ovsdb-error.ts";
import type { TableSchema } from "../schema/database-schema.ts";
import { isObject } from "../schema/parse-base-type.ts";
import { syntaxError } from "../values/atom.ts";
import { ColumnCodec, type ColumnValue } from "../values/column-codec.ts";

/** A row inside the package, where its type is not known. */
export type AnyRow = Readonly<Record<string, ColumnValue>>;

const UUID_COLUMN = new ColumnCodec("_uuid", { key: { type: "uuid" }, min: 1, max: 1 });
const VERSION_COLUMN = new ColumnCodec("_version", { key: { type: "uuid" }, min: 1, max: 1 });

/** Turns a table's rows from the wire into frozen objects, and back. */
export class TableCodec {
  readonly name: string;
  readonly schema: TableSchema;
  readonly columns: ReadonlyMap<string, ColumnCodec>;

  constructor(name: string, schema: TableSchema) {
    this.name = name;
    this.schema = schema;
    const columns = new Map([...schema.columns].map(([column, { type }]) => [column, new ColumnCodec(column, type)]));
    columns.set("_uuid", UUID_COLUMN);
    columns.set("_version", VERSION_COLUMN);
    this.columns = columns;
  }

  /** @throws `OVSDB_INVALID_ARGUMENT`: the table has no such column */
  column(name: string): ColumnCodec {
    const codec = this.columns.get(name);
    if (codec === undefined) {
      throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `Table '${this.name}' has no column '${name}'.`, {
        details: { table: this.name, column: name },
      });
    }
    return codec;
  }

  /**
   * A whole row of the columns named; those that the wire leaves out have their default. Columns that were not asked for are refused.
   *
   * @throws `OVSDB_PROTOCOL`
   */
  decodeRow(uuid: string, json: unknown, columns: ReadonlySet<string>): AnyRow {
    const row: Record<string, ColumnValue> = { _uuid: uuid };
    const given = this.#members(json, columns);
    for (const name of columns) {
      const codec = this.columns.get(name)!;
      row[name] = Object.hasOwn(given, name) ? this.#guard(name, () => codec.decode(given[name])) : codec.initial;
    }
    return Object.freeze(row);
  }

  /** The row after a difference of `update2` or `update3`. The same object when nothing changed. */
  applyDifference(old: AnyRow, json: unknown, columns: ReadonlySet<string>): AnyRow {
    const given = this.#members(json, columns);
    let row: Record<string, ColumnValue> | undefined;
    for (const name of Object.keys(given)) {
      const codec = this.columns.get(name)!;
      const value = this.#guard(name, () => codec.applyDifference(old[name], given[name]));
      if (codec.equals(old[name], value)) continue;
      row ??= { ...old };
      row[name] = value;
    }
    return row === undefined ? old : Object.freeze(row);
  }

  /** The names of the columns in which two rows differ. */
  changedColumns(a: AnyRow, b: AnyRow, columns: ReadonlySet<string>): readonly string[] {
    return [...columns].filter((name) => !this.columns.get(name)!.equals(a[name], b[name]));
  }

  /** @throws `OVSDB_INVALID_ARGUMENT` */
  encodeRow(columns: Readonly<Record<string, unknown>>): Record<string, unknown> {
    const row: Record<string, unknown> = {};
    for (const [name, value] of Object.entries(columns)) {
      if (name === "_uuid" || name === "_version") {
        throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `Column '${name}' of table '${this.name}' can't be written.`, {
          details: { table: this.name, column: name },
        });
      }
      row[name] = this.encode(name, (codec) => codec.encode(value));
    }
    return row;
  }

  /** Encodes something of a column; a failure names the table. */
  encode(name: string, write: (codec: ColumnCodec) => unknown): unknown {
    const codec = this.column(name);
    try {
      return write(codec);
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      throw new OvsdbError(error.code, `Table '${this.name}': ${error.message}`, {
        details: { ...error.details, table: this.name },
      });
    }
  }

  #members(json: unknown, columns: ReadonlySet<string>): Readonly<Record<string, unknown>> {
    if (!isObject(json)) throw syntaxError(json, `expected a row of table '${this.name}'`);
    for (const name of Object.keys(json)) {
      if (!columns.has(name)) {
        throw new OvsdbError(
          "OVSDB_PROTOCOL",
          `The server told column '${name.slice(0, 80)}' of table '${this.name}', which was not asked for.`,
          { details: { table: this.name, column: name.slice(0, 80) } },
        );
      }
    }
    return json;
  }

  #guard(column: string, read: () => ColumnValue): ColumnValue {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof OvsdbError)) throw error;
      throw new OvsdbError(error.code, `Table '${this.name}', column '${column}': ${error.message}`, {
        details: { ...error.details, table: this.name, column },
      });
    }
  }
}
