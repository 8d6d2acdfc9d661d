import type { BaseType, ColumnType } from "../schema/column-type.ts";
import { type Atom, compareAtoms, dataError, decodeAtom, syntaxError } from "./atom.ts";
import { decodeElements, type Elements } from "./elements.ts";

/** How an atom reads within a sentence: text as JSON only where that is needed to see its ends. */
function say(atom: Atom): string {
  return typeof atom !== "string" || /^[A-Za-z_][\w.-]*$|^[0-9a-f]{8}-/.test(atom)
    ? String(atom)
    : JSON.stringify(atom);
}

/**
 * Refuses an atom that its type's constraints exclude (RFC 7047, section 3.2, `<base-type>`).
 *
 * @throws `OVSDB_PROTOCOL`, with `constraint violation` as its `error`
 */
export function checkAtom(base: BaseType, atom: Atom): void {
  if (base.enum !== undefined) {
    const allowed = base.enum as readonly Atom[];
    if (allowed.some((value) => compareAtoms(value, atom) === 0)) return;
    throw violation(`${say(atom)} is not one of the allowed values ([${allowed.map(say).join(", ")}])`);
  }
  if (typeof atom === "string") checkLength(base, atom);
  else if (typeof atom !== "boolean") {
    checkRange(atom, base.minInteger ?? base.minReal, base.maxInteger ?? base.maxReal);
  }
}

function checkRange(atom: Atom, min: number | bigint | undefined, max: number | bigint | undefined): void {
  const below = min !== undefined && compareAtoms(atom, min) < 0;
  const above = max !== undefined && compareAtoms(atom, max) > 0;
  if (!below && !above) return;
  if (min !== undefined && max !== undefined) {
    throw violation(`${atom} is not in the valid range ${min} to ${max} (inclusive)`);
  }
  throw violation(
    below
      ? `${atom} is less than minimum allowed value ${min}`
      : `${atom} is greater than maximum allowed value ${max}`,
  );
}

function checkLength({ minLength, maxLength }: BaseType, text: string): void {
  if (minLength === undefined && maxLength === undefined) return;
  const length = [...text].length;
  if (minLength !== undefined && length < minLength) {
    throw violation(`"${text}" length ${length} is less than minimum allowed length ${minLength}`);
  }
  if (maxLength !== undefined && length > maxLength) {
    throw violation(`"${text}" length ${length} is greater than maximum allowed length ${maxLength}`);
  }
}

function violation(explanation: string): Error {
  return dataError("constraint violation", explanation);
}

/** Reads an atom and holds it to its constraints. @throws `OVSDB_PROTOCOL` */
export function parseAtom(base: BaseType, json: unknown): Atom {
  const atom = decodeAtom(base.type, json);
  checkAtom(base, atom);
  return atom;
}

/** Reads a column's value and holds it to its type: the number of elements and each of them. @throws `OVSDB_PROTOCOL` */
export function parseValue(type: ColumnType, json: unknown): Elements {
  const elements = decodeElements(type, json);
  const count = elements.keys.length;
  const max = type.max === "unlimited" ? Number.POSITIVE_INFINITY : type.max;
  if (count < type.min || count > max) {
    throw syntaxError(json, `a value of this type has ${type.min} to ${type.max} elements, and this one ${count}`);
  }
  for (const key of elements.keys) checkAtom(type.key, key);
  for (const value of elements.values ?? []) checkAtom(type.value!, value);
  return elements;
}

/** An atom as it is on the wire. */
export function formatAtom(base: BaseType, atom: Atom): unknown {
  return base.type === "uuid" ? ["uuid", atom] : atom;
}

/** A value in its canonical form on the wire: one element of a set without the set around it. */
export function formatValue({ key, value }: ColumnType, { keys, values }: Elements): unknown {
  if (value !== undefined) {
    return ["map", keys.map((atom, index) => [formatAtom(key, atom), formatAtom(value, values![index]!)])];
  }
  if (keys.length === 1) return formatAtom(key, keys[0]!);
  return ["set", keys.map((atom) => formatAtom(key, atom))];
}
