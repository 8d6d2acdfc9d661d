import type { Json, JsonObject } from "@vdc-os/core";

/** A JSON pointer (RFC 6901) into a spec: `/cpu/count`. The whole is `""`. */
export type FieldPath = string;

/** The pointer of a member of what another points to. */
export function memberPath(parent: FieldPath, name: string): FieldPath {
  return `${parent}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** The member names that a pointer goes through. */
export function pathSegments(path: FieldPath): readonly string[] {
  if (path === "") return [];
  return path
    .slice(1)
    .split("/")
    .map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Whether one of two pointers is the other, or above it. */
export function arePathsRelated(a: FieldPath, b: FieldPath): boolean {
  return a === b || a.startsWith(`${b}/`) || b.startsWith(`${a}/`);
}

/** Whether a value is a JSON object rather than an array or a scalar. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The fields of a spec: each pointer to a scalar, an array or an empty object, with its value. Arrays are one field, because what
 * owns an element of a list whose order may change cannot be said.
 */
export function fieldsOf(value: Json, path: FieldPath = ""): Map<FieldPath, Json> {
  const fields = new Map<FieldPath, Json>();
  const visit = (current: Json, at: FieldPath): void => {
    if (!isJsonObject(current) || Object.keys(current).length === 0) {
      if (at !== "") fields.set(at, current);
      return;
    }
    for (const [name, member] of Object.entries(current)) visit(member, memberPath(at, name));
  };
  visit(value, path);
  return fields;
}

/** The value at a pointer, or `undefined`. */
export function valueAt(value: Json, path: FieldPath): Json | undefined {
  let current: Json | undefined = value;
  for (const segment of pathSegments(path)) {
    if (!isJsonObject(current) || !Object.hasOwn(current, segment)) return undefined;
    current = current[segment];
  }
  return current;
}

/** A copy with the value at a pointer. What is above it and is no object is replaced by one. */
export function withValueAt(value: JsonObject, path: FieldPath, member: Json): JsonObject {
  const [first, ...rest] = pathSegments(path);
  if (first === undefined) return isJsonObject(member) ? member : value;
  const child = Object.hasOwn(value, first) ? value[first] : undefined;
  const below = rest.map((segment) => memberPath("", segment)).join("");
  const next = rest.length === 0 ? member : withValueAt(isJsonObject(child) ? child : {}, below, member);
  return setMember(value, first, next);
}

/** A deep merge: members of `patch` replace those of `base`, objects are merged, arrays replaced whole. */
export function mergeJson(base: JsonObject, patch: JsonObject): JsonObject {
  let merged = base;
  for (const [name, value] of Object.entries(patch)) {
    const old = Object.hasOwn(base, name) ? base[name] : undefined;
    merged = setMember(merged, name, isJsonObject(old) && isJsonObject(value) ? mergeJson(old, value) : value);
  }
  return merged;
}

/** Whether two JSON values are equal; the order of members does not matter. */
export function isEqualJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => isEqualJson(item, b[index]));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => Object.hasOwn(b, name) && isEqualJson(a[name], b[name]));
}

/** A value as JSON alone: members that are `undefined` are gone. */
export function toJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

// Own property whatever its name: assigning to `__proto__` would not make one.
function setMember(value: JsonObject, name: string, member: Json): JsonObject {
  return Object.fromEntries([...Object.entries(value).filter(([other]) => other !== name), [name, member]]);
}
