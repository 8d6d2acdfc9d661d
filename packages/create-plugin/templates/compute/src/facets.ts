import type { Description } from "@vdc-os/core";
import type { ComputeFacets } from "@vdc-os/core/compute/v1";
import type { MemoryHost } from "./memory-host.ts";

/** The facets of the contract that the plugin has, on a host. */
export function facetsOf(_host: MemoryHost): ComputeFacets {
  return {};
}

/** What `describe` says of them. */
export const facetAvailability: Description["facets"] = {};
