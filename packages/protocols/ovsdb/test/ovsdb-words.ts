import type { ColumnType, TableSchema } from "@vdc-os/ovsdb";
import { isObject, parseBaseType } from "../src/schema/parse-base-type.ts";
import { parseColumn, parseColumnType, parseSchema, parseTable } from "../src/schema/parse-schema.ts";
import {
  formatBaseType,
  formatColumn,
  formatColumnType,
  formatSchema,
  formatTable,
} from "../src/schema/format-schema.ts";
import { type ConditionFunction, evaluateCondition } from "../src/transaction/condition.ts";
import { compareAtoms, defaultAtom } from "../src/values/atom.ts";
import { ColumnCodec } from "../src/values/column-codec.ts";
import { formatAtom, formatValue, parseAtom, parseValue } from "../src/values/constraints.ts";
import { decodeElements, type Elements, equalElements } from "../src/values/elements.ts";
import { formatExactJson, parseExactJson } from "./exact-json.ts";

const ATOM_TYPES = ["integer", "real", "boolean", "string", "uuid"] as const;

/** JSON of a command line: an array of one element stands for that element, so that scalars can be written. */
function read(text: string): unknown {
  const json = parseExactJson(text);
  return Array.isArray(json) && json.length === 1 ? json[0] : json;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A word of the command: takes the rest of the command line, and answers the lines to print. What it throws is the failure. */
export type Word = (...args: readonly string[]) => readonly string[] | Promise<readonly string[]>;

/** The words that need no server. */
export const dataWords: Readonly<Record<string, Word>> = {
  "default-atoms": () =>
    ATOM_TYPES.map((type) => {
      const json = formatAtom({ type }, defaultAtom(type));
      return `${type}: ${compareAtoms(parseAtom({ type }, json), defaultAtom(type)) === 0 ? "OK" : "wrong"}`;
    }),
  "default-data": () =>
    ([0, 1] as const).flatMap((min) =>
      ATOM_TYPES.flatMap((key) =>
        ([undefined, ...ATOM_TYPES] as const).map((value) => {
          const type: ColumnType = { key: { type: key }, ...(value && { value: { type: value } }), min, max: 1 };
          const codec = new ColumnCodec("column", type);
          const elements = codec.toElements(codec.initial);
          const same = equalElements(decodeElements(type, formatValue(type, elements)), elements);
          return `key ${key}, value ${value ?? "void"}, n_min ${min}: ${same ? "OK" : "wrong"}`;
        }),
      ),
    ),
  "parse-atomic-type": (text) => [formatExactJson(parseBaseType(read(text!)).type)],
  "parse-base-type": (text) => [formatExactJson(formatBaseType(parseBaseType(read(text!))))],
  "parse-type": (text) => [formatExactJson(formatColumnType(parseColumnType(read(text!))))],
  "parse-atoms": (text, ...atoms) => {
    const base = parseBaseType(read(text!));
    return atoms.map((atom) => {
      try {
        return formatExactJson(formatAtom(base, parseAtom(base, read(atom))));
      } catch (error) {
        return message(error);
      }
    });
  },
  "sort-atoms": (text, atoms) => {
    const base = parseBaseType(read(text!));
    const list = read(atoms!) as readonly unknown[];
    const sorted = list.map((atom) => parseAtom(base, atom)).sort(compareAtoms);
    return [formatExactJson(sorted.map((atom) => formatAtom(base, atom)))];
  },
  "parse-data": (text, ...values) => {
    const type = parseColumnType(read(text!));
    return values.map((value) => formatExactJson(formatValue(type, parseValue(type, read(value)))));
  },
  "parse-column": (_name, text) => [formatExactJson(formatColumn(parseColumn(read(text!))))],
  "parse-table": (_name, text, root) => [formatExactJson(formatTable(parseTable(read(text!)), root === "true"))],
  "parse-schema": (text) => [formatExactJson(formatSchema(parseSchema(read(text!))))],
  "parse-conditions": (text, ...conditions) => {
    const table = parseTable(read(text!));
    return conditions.map((condition) => {
      const clauses = (parseExactJson(condition) as readonly unknown[]).map((clause) => readClause(table, clause));
      clauses.sort((a, b) => a.rank - b.rank);
      return formatExactJson(
        clauses.map(({ column, name, type, argument }) => [column, name, formatValue(type, argument)]),
      );
    });
  },
  "evaluate-conditions": (text, conditions, rows) => evaluate(text!, conditions!, rows!, "every"),
  "evaluate-conditions-any": (text, conditions, rows) => evaluate(text!, conditions!, rows!, "some"),
};

interface ReadClause {
  readonly column: string;
  readonly name: ConditionFunction;
  readonly type: ColumnType;
  readonly argument: Elements;
  /** The order in which a server tries clauses: the cheapest first. */
  readonly rank: number;
}

const RANKS: readonly ConditionFunction[] = ["==", "includes", "<=", "<", ">=", ">", "excludes", "!="];

function readClause(table: TableSchema, json: unknown): ReadClause {
  if (!Array.isArray(json) || json.length !== 3) throw new Error(`syntax "${formatExactJson(json)}": no clause`);
  const [column, name, value] = json as [string, ConditionFunction, unknown];
  const type: ColumnType | undefined =
    column === "_uuid" ? { key: { type: "uuid" }, min: 1, max: 1 } : table.columns.get(column)?.type;
  if (type === undefined) throw new Error(`No column ${column}.`);
  const rank = RANKS.indexOf(name);
  if (rank < 0) throw new Error(`No function named ${name}.`);
  const ordered = type.key.type === "integer" || type.key.type === "real";
  if (/[<>]/.test(name) && !(ordered && type.max === 1 && type.value === undefined)) {
    throw new Error(
      `syntax "${formatExactJson(json)}": syntax error: Type mismatch: "${name}" operator may not be applied to column ` +
        `${column} of type ${formatExactJson(formatColumnType(type)).replaceAll('"', "")}.`,
    );
  }
  // A part of a value may have any number of elements.
  const part: ColumnType = name === "includes" || name === "excludes" ? { ...type, min: 0, max: "unlimited" } : type;
  return { column, name, type, argument: parseValue(part, value), rank: column === "_uuid" ? -1 : rank };
}

function evaluate(text: string, conditions: string, rows: string, how: "every" | "some"): readonly string[] {
  const table = parseTable(read(text));
  const content = parseExactJson(rows) as readonly Readonly<Record<string, unknown>>[];
  return (parseExactJson(conditions) as readonly unknown[]).map((condition, index) => {
    const clauses = (condition as readonly unknown[]).map((clause) => readClause(table, clause));
    const marks = content.map((row) => {
      if (!isObject(row)) throw new Error("a row is an object");
      const holds = (clause: ReadClause): boolean =>
        evaluateCondition(parseValue(clause.type, row[clause.column]), clause.name, clause.argument);
      return (how === "every" ? clauses.every(holds) : clauses.length === 0 || clauses.some(holds)) ? "T" : "-";
    });
    const groups = marks.join("").match(/.{1,5}/g) ?? [];
    return `condition ${String(index).padStart(2)}: ${groups.join(" ")}`;
  });
}
