import type { Description } from "@vdc-os/core";
import type { CloudFacets } from "@vdc-os/core/cloud/v1";
import type { MemoryAccount } from "./memory-account.ts";

/** The facets of the contract that the plugin has, on an account. */
export function facetsOf(_account: MemoryAccount): CloudFacets {
  return {};
}

/** What `describe` says of them. */
export const facetAvailability: Description["facets"] = {};
