import type { Resource } from "../resource/resource.ts";

/**
 * The name that something outside gets which is made for an object: it follows from the object alone, so that a controller that runs again
 * finds what it made before, and holds part of the uid, so that an object created anew under an old name never meets the old one's
 * leftovers. At most 63 lower-case characters; `role` tells several things of one object apart.
 */
export function externalNameOf(object: Resource, role?: string): string {
  const { name, uid } = object.metadata;
  const suffix = `${role === undefined ? "" : `-${role}`}-${uid.replaceAll("-", "").slice(0, 12)}`;
  return `${name.slice(0, 63 - suffix.length).replace(/[.-]+$/, "")}${suffix}`;
}
