/**
 * Field owners: how a user, high availability and autoscaling write one spec without overwriting each other.
 *
 * Each field (see {@link fieldsOf}) has at most one owner. Who changes a field becomes its owner; changing a field of another owner
 * is a conflict unless it is forced, which takes it over. Fields that nobody set (defaults) are free.
 */
import type { Json, JsonObject } from "@vdc-os/core";
import {
  arePathsRelated,
  type FieldPath,
  fieldsOf,
  isEqualJson,
  isJsonObject,
  valueAt,
  withValueAt,
} from "./field-path.ts";

/** Who holds each field. */
export type FieldOwners = Readonly<Record<FieldPath, string>>;

/** A field that another owner holds. */
export interface FieldConflict {
  readonly path: FieldPath;
  readonly owner: string;
}

/** A change of a spec, on behalf of an owner. */
export interface FieldChange {
  readonly current: Json;
  readonly owners: FieldOwners;
  /** The spec that is to be, complete. */
  readonly desired: Json;
  readonly owner: string;
  /** Fields that the owner wants to hold even when their value stays the same, if they are free. */
  readonly claims: Iterable<FieldPath>;
}

/** What a change does to the owners. `conflicts` are the fields that it takes from others: without force, it must not happen. */
export interface FieldChangeResult {
  readonly owners: FieldOwners;
  readonly conflicts: readonly FieldConflict[];
}

/** Works out who owns what after a change, and whose fields it touches. Pure. */
export function changeFields({ current, owners, desired, owner, claims }: FieldChange): FieldChangeResult {
  const before = fieldsOf(current);
  const after = fieldsOf(desired);
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
    (path) => !isEqualJson(before.get(path), after.get(path)),
  );
  const next = new Map(Object.entries(owners));
  const conflicts = new Map<FieldPath, string>();
  for (const path of changed) {
    for (const [held, holder] of Object.entries(owners)) {
      if (!arePathsRelated(held, path)) continue;
      if (holder !== owner) conflicts.set(held, holder);
      next.delete(held);
    }
    if (after.has(path)) next.set(path, owner);
  }
  for (const path of claims) if (after.has(path) && !next.has(path)) next.set(path, owner);
  // A field that changed because a related one did may no longer be there.
  for (const path of [...next.keys()]) if (!after.has(path)) next.delete(path);
  return {
    owners: Object.fromEntries([...next].sort(([a], [b]) => (a < b ? -1 : 1))),
    conflicts: [...conflicts].map(([path, holder]) => ({ path, owner: holder })),
  };
}

/** The owners after one gave up some fields, or all of its fields. */
export function releaseFields(owners: FieldOwners, owner: string, paths: readonly FieldPath[] | "all"): FieldOwners {
  return Object.fromEntries(
    Object.entries(owners).filter(
      ([path, holder]) => holder !== owner || (paths !== "all" && !paths.some((gone) => arePathsRelated(path, gone))),
    ),
  );
}

/**
 * A spec to be, with the fields that others hold and that it leaves out carried over from the current one. What it replaces by
 * something else is not left out: that shows as a conflict.
 */
export function keepFieldsOfOthers(
  desired: JsonObject,
  current: JsonObject,
  owners: FieldOwners,
  owner: string,
): JsonObject {
  let kept = desired;
  for (const [path, holder] of Object.entries(owners)) {
    if (holder === owner || valueAt(kept, path) !== undefined || isReplacedAbove(kept, path)) continue;
    const value = valueAt(current, path);
    if (value !== undefined) kept = withValueAt(kept, path, value);
  }
  return kept;
}

/** Whether something that is no object stands where a pointer passes through. */
function isReplacedAbove(value: JsonObject, path: FieldPath): boolean {
  for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
    const above = valueAt(value, path.slice(0, end));
    if (above !== undefined) return !isJsonObject(above);
  }
  return false;
}
