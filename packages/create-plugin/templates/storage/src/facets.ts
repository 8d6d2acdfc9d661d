import type { Description } from "@vdc-os/core";
import type { StorageFacets } from "@vdc-os/core/storage/v1";

/** The facets of the contract that the plugin has. */
export const facets: StorageFacets = {};

/** What `describe` says of them. */
export const facetAvailability: Description["facets"] = {};
