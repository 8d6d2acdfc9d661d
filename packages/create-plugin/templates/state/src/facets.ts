import type { Description } from "@vdc-os/core";
import type { StateStoreFacets } from "@vdc-os/core/state/v1";
import type { MemoryDatabase } from "./memory-database.ts";

/** The facets of the contract that the plugin has, on a database. */
export function facetsOf(_database: MemoryDatabase): StateStoreFacets {
  return {};
}

/** What `describe` says of them. */
export const facetAvailability: Description["facets"] = {};
