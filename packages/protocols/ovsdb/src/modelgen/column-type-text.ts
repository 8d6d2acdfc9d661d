import { type BaseType, type ColumnType, columnShape } from "../schema/column-type.ts";
import type { ColumnSchema } from "../schema/database-schema.ts";

function atomText(base: BaseType): string {
  if (base.enum !== undefined) {
    const literals = base.enum.map((value) => (base.type === "uuid" ? "Uuid" : JSON.stringify(value)));
    return [...new Set(literals)].join(" | ");
  }
  switch (base.type) {
    case "integer":
    case "real":
      return "number";
    case "uuid":
      return base.refTable === undefined ? "Uuid" : `Uuid<${JSON.stringify(base.refTable)}>`;
    default:
      return base.type;
  }
}

/** How TypeScript writes what a row holds in a column of this type. */
export function columnTypeText(type: ColumnType): string {
  const key = atomText(type.key);
  switch (columnShape(type)) {
    case "scalar":
      return key;
    case "optional":
      return `${key} | undefined`;
    case "set":
      return key.includes(" ") ? `readonly (${key})[]` : `readonly ${key}[]`;
    case "map":
      return `ReadonlyMap<${key}, ${atomText(type.value!)}>`;
    case "record":
      return type.key.enum === undefined
        ? `Readonly<Record<string, ${atomText(type.value!)}>>`
        : `Readonly<Partial<Record<${key}, ${atomText(type.value!)}>>>`;
  }
}

/** What the type can't say: ranges, numbers of elements, weak references. */
export function columnRemark({ type, ephemeral, mutable }: ColumnSchema): string | undefined {
  const remarks: string[] = [];
  const { key, value, max } = type;
  const range = rangeText(key);
  if (range !== undefined) remarks.push(value === undefined ? range : `keys ${range}`);
  const valueRange = value && rangeText(value);
  if (valueRange !== undefined) remarks.push(`values ${valueRange}`);
  if (max !== "unlimited" && max > 1) remarks.push(`at most ${max} elements`);
  if (type.min === 1 && max !== 1) remarks.push("never empty");
  if (key.refType === "weak" || value?.refType === "weak") remarks.push("weak reference");
  if (!mutable) remarks.push("given at insert, never changes");
  if (ephemeral) remarks.push("not kept over a restart of the server");
  if (remarks.length === 0) return undefined;
  const text = remarks.join("; ");
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}

function rangeText(base: BaseType): string | undefined {
  const min = base.minInteger ?? base.minReal;
  const max = base.maxInteger ?? base.maxReal;
  if (min !== undefined && max !== undefined) return `${min} to ${max}`;
  if (min !== undefined) return `from ${min} on`;
  if (max !== undefined) return `up to ${max}`;
  if (base.minLength !== undefined && base.maxLength === undefined) return `${base.minLength} characters at least`;
  if (base.maxLength !== undefined) return `${base.minLength ?? 0} to ${base.maxLength} characters`;
  return undefined;
}
