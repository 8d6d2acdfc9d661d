import type { Description } from "@vdc-os/core";
import type { NetworkFacets } from "@vdc-os/core/network/v1";
import type { MemoryNetwork } from "./memory-network.ts";

/** The facets of the contract that the plugin has, on a network. */
export function facetsOf(_network: MemoryNetwork): NetworkFacets {
  return {};
}

/** What `describe` says of them. */
export const facetAvailability: Description["facets"] = {};
