import { formatAtom } from "../values/constraints.ts";
import type { BaseType, ColumnType } from "./column-type.ts";
import type { ColumnSchema, DatabaseSchema, TableSchema } from "./database-schema.ts";

/** A base type as a schema writes it, in its shortest form. */
export function formatBaseType(base: BaseType): unknown {
  const { enum: allowed, ...rest } = base;
  if (allowed !== undefined) {
    const values = allowed.map((value) => formatAtom(base, value as string));
    return { ...rest, enum: values.length === 1 ? values[0] : ["set", values] };
  }
  return Object.keys(rest).length === 1 ? base.type : rest;
}

export function formatColumnType({ key, value, min, max }: ColumnType): unknown {
  const shortKey = formatBaseType(key);
  if (value === undefined && min === 1 && max === 1 && typeof shortKey === "string") return shortKey;
  return {
    key: shortKey,
    ...(value === undefined ? {} : { value: formatBaseType(value) }),
    ...(min === 1 ? {} : { min }),
    ...(max === 1 ? {} : { max }),
  };
}

export function formatColumn({ type, mutable, ephemeral }: ColumnSchema): unknown {
  return {
    type: formatColumnType(type),
    ...(mutable ? {} : { mutable }),
    ...(ephemeral ? { ephemeral } : {}),
  };
}

/** A table as a schema writes it; `isRoot` is left out where it is `rootByDefault`. */
export function formatTable(table: TableSchema, rootByDefault: boolean): unknown {
  return {
    columns: Object.fromEntries([...table.columns].map(([name, column]) => [name, formatColumn(column)])),
    ...(table.isRoot === rootByDefault ? {} : { isRoot: table.isRoot }),
    ...(table.mutable ? {} : { mutable: false }),
    ...(table.maxRows === undefined ? {} : { maxRows: table.maxRows }),
    ...(table.indexes.length === 0 ? {} : { indexes: table.indexes }),
  };
}

/** A schema as `get_schema` gives it, in its shortest form. `parseSchema` reads it back. */
export function formatSchema({ name, version, tables }: DatabaseSchema): unknown {
  const allRoots = [...tables.values()].every(({ isRoot }) => isRoot);
  return {
    name,
    ...(version === "0.0.0" ? {} : { version }),
    tables: Object.fromEntries([...tables].map(([table, schema]) => [table, formatTable(schema, allRoots)])),
  };
}
