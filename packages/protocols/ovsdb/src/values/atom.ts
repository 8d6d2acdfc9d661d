import { OvsdbError } from "../ovsdb-error.ts";
import type { AtomType } from "../schema/column-type.ts";

/** One value of an atomic type. A uuid is its text in lower case; an integer beyond 2^53 - 1 is rounded unless it was parsed as a bigint. */
export type Atom = number | bigint | boolean | string;

const UUID = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;

export function isUuidText(text: unknown): text is string {
  return typeof text === "string" && text.length === 36 && UUID.test(text);
}

/** What the peer sent is not of the type that the schema says. */
export function dataError(error: string, explanation: string): OvsdbError {
  return new OvsdbError("OVSDB_PROTOCOL", `${error}: ${explanation}`, { details: { error, explanation } });
}

/** JSON for an error text, cut short. */
export function quoteJson(json: unknown): string {
  const text =
    JSON.stringify(json, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value)) ?? "";
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}

export function syntaxError(json: unknown, explanation: string): OvsdbError {
  return new OvsdbError("OVSDB_PROTOCOL", `syntax "${quoteJson(json)}": syntax error: ${explanation}`, {
    details: { error: "syntax error", explanation },
  });
}

/**
 * Reads one atom from the wire (RFC 7047, section 5.1, `<atom>`).
 *
 * @throws `OVSDB_PROTOCOL`
 */
export function decodeAtom(type: AtomType, json: unknown): Atom {
  switch (type) {
    case "string":
      if (typeof json === "string") return json;
      break;
    case "uuid":
      if (Array.isArray(json) && json.length === 2 && json[0] === "uuid" && isUuidText(json[1])) {
        return json[1].toLowerCase();
      }
      throw syntaxError(json, 'expected ["uuid", <string>]');
    case "integer":
      if (typeof json === "number" && Number.isInteger(json) && Math.abs(json) <= 2 ** 63) return json + 0;
      if (typeof json === "bigint" && BigInt.asIntN(64, json) === json) return json;
      break;
    case "real":
      if (typeof json === "number") return json + 0;
      if (typeof json === "bigint") return Number(json);
      break;
    case "boolean":
      if (typeof json === "boolean") return json;
      break;
  }
  throw syntaxError(json, `expected ${type}`);
}

/** The value that a column of this type has when nothing was said (RFC 7047, section 5.2.1). */
export function defaultAtom(type: AtomType): Atom {
  switch (type) {
    case "string":
      return "";
    case "uuid":
      return "00000000-0000-0000-0000-000000000000";
    case "boolean":
      return false;
    default:
      return 0;
  }
}

/** The canonical order of atoms of one type: numbers by value, false before true, strings and uuids by their bytes in UTF-8. */
export function compareAtoms(a: Atom, b: Atom): number {
  if (a === b) return 0;
  if (typeof a === "string" && typeof b === "string") return compareText(a, b);
  return a < b ? -1 : a > b ? 1 : 0;
}

/** UTF-16 and UTF-8 order differ only where a surrogate meets a character from U+E000 to U+FFFF. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index += 1) {
    const left = a.charCodeAt(index);
    const right = b.charCodeAt(index);
    if (left === right) continue;
    if (left >= 0xd800 && right >= 0xd800) return codePointRank(left) - codePointRank(right);
    return left - right;
  }
  return a.length - b.length;
}

function codePointRank(unit: number): number {
  return unit < 0xe000 ? unit + 0x10000 : unit;
}
