import { createHash } from "node:crypto";

/** A short name for something with a long one: the same for the same parts, and of letters and digits only. */
export function shortHash(length: number, ...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, length);
}

/** An id as one segment of a state key. Ids may hold anything and be long; a segment that was hashed begins with `~`. */
export function keySegment(id: string): string {
  return /^[A-Za-z0-9._:@-]{1,100}$/.test(id) ? id : `~${shortHash(40, id)}`;
}
