import type { ColumnShape, ColumnType } from "../schema/column-type.ts";
import { type Atom, compareAtoms, dataError, decodeAtom, syntaxError } from "./atom.ts";

/**
 * The elements of a set or map, in canonical order, without duplicates: keys, and for a map the values beside them. Every column's value, a scalar's too,
 * is one of these between the wire and the row.
 */
export interface Elements {
  readonly keys: readonly Atom[];
  readonly values: readonly Atom[] | undefined;
}

/** Reads a value from the wire (RFC 7047, section 5.1, `<value>`), whatever number of elements it has. */
export function decodeElements(type: ColumnType, json: unknown): Elements {
  if (type.value !== undefined) return decodeMap(type.key.type, type.value.type, json);
  const key = type.key.type;
  if (Array.isArray(json) && json[0] === "set") {
    if (json.length !== 2 || !Array.isArray(json[1])) throw syntaxError(json, 'expected ["set", <array>]');
    return sortElements({ keys: json[1].map((element) => decodeAtom(key, element)), values: undefined });
  }
  return { keys: [decodeAtom(key, json)], values: undefined };
}

function decodeMap(key: ColumnType["key"]["type"], value: ColumnType["key"]["type"], json: unknown): Elements {
  if (!Array.isArray(json) || json.length !== 2 || json[0] !== "map" || !Array.isArray(json[1])) {
    throw syntaxError(json, 'expected ["map", <array>]');
  }
  const keys: Atom[] = [];
  const values: Atom[] = [];
  for (const pair of json[1] as readonly unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2) throw syntaxError(pair, "expected 2-element array");
    keys.push(decodeAtom(key, pair[0]));
    values.push(decodeAtom(value, pair[1]));
  }
  return sortElements({ keys, values });
}

/** A server sends elements in canonical order; one that doesn't costs a sort. */
export function sortElements(elements: Elements): Elements {
  const { keys, values } = elements;
  let sorted = true;
  for (let index = 1; index < keys.length; index += 1) {
    if (compareAtoms(keys[index - 1]!, keys[index]!) >= 0) {
      sorted = false;
      break;
    }
  }
  if (sorted) return elements;
  const order = keys.map((_, index) => index).sort((a, b) => compareAtoms(keys[a]!, keys[b]!));
  for (let index = 1; index < order.length; index += 1) {
    if (compareAtoms(keys[order[index - 1]!]!, keys[order[index]!]!) === 0) {
      throw dataError("ovsdb error", values === undefined ? "set contains duplicate" : "map contains duplicate key");
    }
  }
  return { keys: order.map((at) => keys[at]!), values: values && order.map((at) => values[at]!) };
}

/** Refuses a number of elements that the shape can't show. */
export function checkCount(elements: Elements, shape: ColumnShape, json: unknown): Elements {
  const count = elements.keys.length;
  if (shape === "scalar" && count !== 1) throw syntaxError(json, `expected 1 element, found ${count}`);
  if (shape === "optional" && count > 1) throw syntaxError(json, `expected at most 1 element, found ${count}`);
  return elements;
}

/**
 * Applies a difference as `update2` and `update3` tell it (ovsdb-server(7), 4.1.14): what is in exactly one of two sets; for a map, a pair that is there
 * already goes, any other pair replaces or adds.
 */
export function applyElementsDifference(old: Elements, difference: Elements): Elements {
  const keys: Atom[] = [];
  const values: Atom[] | undefined = old.values === undefined ? undefined : [];
  let left = 0;
  let right = 0;
  const take = (from: Elements, at: number): void => {
    keys.push(from.keys[at]!);
    values?.push(from.values![at]!);
  };
  while (left < old.keys.length || right < difference.keys.length) {
    const order =
      left >= old.keys.length
        ? 1
        : right >= difference.keys.length
          ? -1
          : compareAtoms(old.keys[left]!, difference.keys[right]!);
    if (order < 0) {
      take(old, left);
      left += 1;
    } else if (order > 0) {
      take(difference, right);
      right += 1;
    } else {
      if (values !== undefined && compareAtoms(old.values![left]!, difference.values![right]!) !== 0) {
        take(difference, right);
      }
      left += 1;
      right += 1;
    }
  }
  return { keys, values };
}

export function equalElements(a: Elements, b: Elements): boolean {
  return equalAtoms(a.keys, b.keys) && (a.values === undefined || equalAtoms(a.values, b.values ?? []));
}

function equalAtoms(a: readonly Atom[], b: readonly Atom[]): boolean {
  return a.length === b.length && a.every((atom, index) => compareAtoms(atom, b[index]!) === 0);
}
