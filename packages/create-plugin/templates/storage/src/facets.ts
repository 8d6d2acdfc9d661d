import type { Description } from "@vdc-os/core";
import type { StorageFacets } from "@vdc-os/core/storage/v1";
import type { MemoryArray } from "./memory-array.ts";

/** The facets of the contract that the plugin has, on an array. */
export function facetsOf(_array: MemoryArray): StorageFacets {
  return {};
}

/** What `describe` says of them. */
export const facetAvailability: Description["facets"] = {};
