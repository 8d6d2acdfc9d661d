import type { CloudConnector, CloudFacets } from "@vdc-os/core/cloud/v1";
import type { CloudConnectorInstance } from "../../src/cloud/cloud-connector-instance.ts";
import { MemoryCloud } from "../../src/cloud/memory-cloud.ts";
import { type BuildMutant, mutantsOf } from "../build-mutant.ts";

/** The reference, fresh. */
export function createReference(): CloudConnectorInstance {
  const implementation = new MemoryCloud();
  const { account } = implementation;
  return {
    implementation,
    request: { image: "debian", size: "small", networks: ["inside"] },
    wrongCredentials: () => new MemoryCloud({ account, knownCredentials: false }),
    loseNextAnswer: () => {
      account.loseNextAnswer = true;
    },
    reopen: () => new MemoryCloud({ account }),
    makeForeign: () => {
      const common = { name: "foreign", image: "debian", size: "small", region: "here", addresses: [], createdAt: 1 };
      account.instances.set("foreign", { instanceId: "foreign", state: "running", ...common });
      return "foreign";
    },
  };
}

/** A mutant that answers some operations in another way. */
export const mutant: BuildMutant<CloudConnector, CloudConnectorInstance, MemoryCloud> = mutantsOf();

/** A cloud whose facet answers some operations in another way. */
export function facet<Name extends keyof MemoryCloud["facets"]>(
  cloud: MemoryCloud,
  name: Name,
  change: Partial<NonNullable<CloudFacets[Name]>>,
): Partial<CloudConnector> {
  return { facets: { ...cloud.facets, [name]: { ...cloud.facets[name], ...change } } };
}
