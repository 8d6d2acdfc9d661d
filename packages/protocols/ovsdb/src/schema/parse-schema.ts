import { syntaxError } from "../values/atom.ts";
import type { BaseType, ColumnType } from "./column-type.ts";
import type { ColumnSchema, DatabaseSchema, TableSchema } from "./database-schema.ts";
import { checkMembers, isIdentifier, isObject, parseBaseType } from "./parse-base-type.ts";

const TYPE_MEMBERS: ReadonlySet<string> = new Set(["key", "value", "min", "max"]);
const COLUMN_MEMBERS: ReadonlySet<string> = new Set(["type", "ephemeral", "mutable"]);
const TABLE_MEMBERS: ReadonlySet<string> = new Set(["columns", "maxRows", "isRoot", "indexes", "mutable"]);

/**
 * Reads a `<type>` (RFC 7047, section 3.2).
 *
 * @throws `OVSDB_PROTOCOL`
 */
export function parseColumnType(json: unknown): ColumnType {
  if (typeof json === "string") return { key: parseBaseType(json), min: 1, max: 1 };
  if (!isObject(json)) throw syntaxError(json, "expected a type's name or an object");
  checkMembers(json, TYPE_MEMBERS, "a type");
  if (json.key === undefined) throw syntaxError(json, "a type needs 'key'");
  const key: BaseType = parseBaseType(json.key);
  const min = json.min ?? 1;
  const max = json.max ?? 1;
  if (min !== 0 && min !== 1) throw syntaxError(json, "'min' is 0 or 1");
  if (max !== "unlimited" && !(Number.isInteger(max) && (max as number) >= 1)) {
    throw syntaxError(json, "'max' is a number from 1 on, or 'unlimited'");
  }
  return Object.freeze({
    key,
    ...(json.value === undefined ? {} : { value: parseBaseType(json.value) }),
    min,
    max: max as number | "unlimited",
  });
}

/** Reads a `<column-schema>`. @throws `OVSDB_PROTOCOL` */
export function parseColumn(json: unknown): ColumnSchema {
  if (!isObject(json) || json.type === undefined) throw syntaxError(json, "expected an object with 'type'");
  checkMembers(json, COLUMN_MEMBERS, "a column");
  const mutable = json.mutable ?? true;
  const ephemeral = json.ephemeral ?? false;
  if (typeof mutable !== "boolean" || typeof ephemeral !== "boolean") throw syntaxError(json, "expected booleans");
  const type = parseColumnType(json.type);
  // A weak reference goes away with its row, so that its column must be able to change (ovsdb-server(7), 3.2).
  const weak = type.key.refType === "weak" || type.value?.refType === "weak";
  return Object.freeze({ type, ephemeral, mutable: mutable || weak });
}

/** Reads a `<table-schema>`. @throws `OVSDB_PROTOCOL` */
export function parseTable(json: unknown): TableSchema {
  if (!isObject(json) || !isObject(json.columns)) throw syntaxError(json, "expected an object with 'columns'");
  checkMembers(json, TABLE_MEMBERS, "a table");
  const columns = new Map<string, ColumnSchema>();
  for (const [name, column] of Object.entries(json.columns)) {
    if (!isIdentifier(name) || name.startsWith("_"))
      throw syntaxError(name, "this column name is reserved or not an id");
    columns.set(name, parseColumn(column));
  }
  if (columns.size === 0) throw syntaxError(json, "a table has one column at least");
  const { maxRows, isRoot = false, indexes = [], mutable = true } = json;
  if (maxRows !== undefined && !(Number.isInteger(maxRows) && (maxRows as number) >= 1)) {
    throw syntaxError(json, "'maxRows' is a number from 1 on");
  }
  if (typeof isRoot !== "boolean" || typeof mutable !== "boolean") throw syntaxError(json, "expected booleans");
  return Object.freeze({
    columns,
    maxRows: maxRows as number | undefined,
    isRoot,
    mutable,
    indexes: parseIndexes(indexes, columns),
  });
}

function parseIndexes(json: unknown, columns: ReadonlyMap<string, ColumnSchema>): readonly (readonly string[])[] {
  if (!Array.isArray(json)) throw syntaxError(json, "'indexes' is an array of arrays of columns");
  return json.map((index: unknown) => {
    if (!Array.isArray(index) || index.length === 0) throw syntaxError(index, "an index names one column at least");
    for (const name of index) {
      const column = typeof name === "string" ? columns.get(name) : undefined;
      if (column === undefined) throw syntaxError(index, "an index names a column that is not there");
      if (column.ephemeral) throw syntaxError(index, "an index can't hold an ephemeral column");
    }
    return Object.freeze([...(index as string[])]);
  });
}

/**
 * Reads a `<database-schema>`: an `.ovsschema` file, or a server's answer to `get_schema`. References to tables that are not there are refused.
 *
 * @throws `OVSDB_PROTOCOL`
 */
export function parseSchema(json: unknown): DatabaseSchema {
  if (!isObject(json) || typeof json.name !== "string" || !isObject(json.tables)) {
    throw syntaxError(json, "expected an object with 'name' and 'tables'");
  }
  if (json.version !== undefined && !/^[0-9]+\.[0-9]+\.[0-9]+$/.test(String(json.version))) {
    throw syntaxError(json.version, "a version looks like 1.2.3");
  }
  const tables = new Map<string, TableSchema>();
  for (const [name, table] of Object.entries(json.tables)) {
    if (!isIdentifier(name) || name.startsWith("_"))
      throw syntaxError(name, "this table name is reserved or not an id");
    tables.set(name, parseTable(table));
  }
  for (const [table, { columns }] of tables) {
    for (const [column, { type }] of columns) {
      for (const base of [type.key, type.value]) {
        if (base?.refTable !== undefined && !tables.has(base.refTable)) {
          throw syntaxError(`${table}.${column}`, `this column refers to table '${base.refTable}', which is not there`);
        }
      }
    }
  }
  // Before `isRoot` was invented every table was a root: a schema where none is marked is such a one (RFC 7047, section 3.2).
  const anyRoot = [...tables.values()].some(({ isRoot }) => isRoot);
  if (!anyRoot) for (const [name, table] of tables) tables.set(name, Object.freeze({ ...table, isRoot: true }));
  return Object.freeze({ name: json.name, version: String(json.version ?? "0.0.0"), tables });
}
