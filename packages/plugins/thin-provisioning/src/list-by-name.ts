import type { Page } from "@vdc-os/core";
import { decodePageToken, encodePageToken } from "./page-token.ts";

/** Options of {@link listByName}. */
export interface ListByNameOptions<T> {
  readonly poolId: string;
  /** In order. */
  readonly names: readonly string[];
  /** The item of a name, or `undefined` when it is not one of the list. */
  readonly find: (name: string) => T | undefined;
  /** Defaults to 500. */
  readonly limit?: number;
  readonly pageToken?: string;
}

/** A page of a list in order of name. A token is the last name of the page before, so it stays good whatever comes and goes. */
export function listByName<T>(options: ListByNameOptions<T>): Page<T> {
  const { poolId, names, find, limit = 500, pageToken } = options;
  const after = pageToken === undefined ? "" : decodePageToken(poolId, pageToken);
  const items: T[] = [];
  let last = "";
  for (let at = firstAfter(names, after); at < names.length; at++) {
    const name = names[at] as string;
    const item = find(name);
    if (item === undefined) continue;
    if (items.length === limit) return { items, nextPageToken: encodePageToken(poolId, last) };
    items.push(item);
    last = name;
  }
  return { items };
}

/** Where the names after one begin, in a sorted list. */
function firstAfter(names: readonly string[], name: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] as string) <= name) low = middle + 1;
    else high = middle;
  }
  return low;
}
