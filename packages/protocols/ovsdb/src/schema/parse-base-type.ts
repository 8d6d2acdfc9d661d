import { compareAtoms, dataError, decodeAtom, syntaxError } from "../values/atom.ts";
import { decodeElements } from "../values/elements.ts";
import type { AtomType, BaseType } from "./column-type.ts";

const ATOM_TYPES: ReadonlySet<unknown> = new Set<AtomType>(["integer", "real", "boolean", "string", "uuid"]);

/** What a constraint needs to be there: which atoms it holds for and what it reads as. */
const CONSTRAINTS: Readonly<Record<string, AtomType>> = {
  minInteger: "integer",
  maxInteger: "integer",
  minReal: "real",
  maxReal: "real",
  minLength: "string",
  maxLength: "string",
  refTable: "uuid",
  refType: "uuid",
};

export function isObject(json: unknown): json is Readonly<Record<string, unknown>> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** Refuses members that the specification doesn't name. */
export function checkMembers(
  json: Readonly<Record<string, unknown>>,
  allowed: ReadonlySet<string>,
  what: string,
): void {
  for (const name of Object.keys(json)) {
    if (!allowed.has(name)) throw syntaxError(json, `${what} has no member '${name}'`);
  }
}

const MEMBERS: ReadonlySet<string> = new Set(["type", "enum", ...Object.keys(CONSTRAINTS)]);

/**
 * Reads a `<base-type>` (RFC 7047, section 3.2).
 *
 * @throws `OVSDB_PROTOCOL`
 */
export function parseBaseType(json: unknown): BaseType {
  if (typeof json === "string") return { type: parseAtomType(json) };
  if (!isObject(json)) throw syntaxError(json, "expected a type's name or an object");
  checkMembers(json, MEMBERS, "a base type");
  const type = parseAtomType(json.type);
  const base: Record<string, unknown> = { type };
  for (const [name, of] of Object.entries(CONSTRAINTS)) {
    const value = json[name];
    if (value === undefined) continue;
    if (of !== type) throw syntaxError(json, `'${name}' is for ${of} only`);
    base[name] = parseConstraint(name, value, json);
  }
  if (base.refType !== undefined && base.refTable === undefined) throw syntaxError(json, "'refType' needs 'refTable'");
  // What holds unless something else is said is not said.
  if (base.refType === "strong") delete base.refType;
  if (json.enum !== undefined) {
    if (Object.keys(base).length > 1) throw syntaxError(json, "'enum' excludes other constraints");
    const { keys } = decodeElements({ key: { type }, min: 0, max: "unlimited" }, json.enum);
    if (keys.length === 0) throw syntaxError(json, "'enum' allows no value");
    base.enum = keys;
  }
  checkOrder(base, "minInteger", "maxInteger", json);
  checkOrder(base, "minReal", "maxReal", json);
  checkOrder(base, "minLength", "maxLength", json);
  return Object.freeze(base) as unknown as BaseType;
}

function parseAtomType(json: unknown): AtomType {
  if (!ATOM_TYPES.has(json)) throw syntaxError(json, "expected the name of an atomic type");
  return json as AtomType;
}

function parseConstraint(name: string, value: unknown, json: unknown): unknown {
  switch (name) {
    case "minInteger":
    case "maxInteger":
      return decodeAtom("integer", value);
    case "minReal":
    case "maxReal":
      return decodeAtom("real", value);
    case "minLength":
    case "maxLength":
      if (!Number.isInteger(value) || (value as number) < 0) throw syntaxError(json, `'${name}' is not a length`);
      return value;
    case "refType":
      if (value !== "strong" && value !== "weak") throw syntaxError(json, "'refType' is 'strong' or 'weak'");
      return value;
    default:
      if (typeof value !== "string" || !isIdentifier(value)) throw syntaxError(json, `'${name}' is not an id`);
      return value;
  }
}

function checkOrder(base: Readonly<Record<string, unknown>>, min: string, max: string, json: unknown): void {
  const low = base[min] as number | bigint | undefined;
  const high = base[max] as number | bigint | undefined;
  if (low !== undefined && high !== undefined && compareAtoms(low, high) > 0) {
    throw dataError("constraint violation", `'${min}' exceeds '${max}' in ${JSON.stringify(json)}`);
  }
}

/** RFC 7047, section 3.1, `<id>`. */
export function isIdentifier(text: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(text);
}
