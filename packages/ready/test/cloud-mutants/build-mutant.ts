import { isVdcError } from "@vdc-os/core";
import type { CloudConnector, CloudFacets } from "@vdc-os/core/cloud/v1";
import type { CloudConnectorInstance } from "../../src/cloud/cloud-connector-instance.ts";
import { MemoryCloud } from "../../src/cloud/memory-cloud.ts";
import type { Mutant } from "../../src/suite/proves-suite.ts";

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
export function mutant(
  breaks: string,
  how: string,
  change: (cloud: MemoryCloud) => Partial<CloudConnector>,
): Mutant<CloudConnector, CloudConnectorInstance> {
  return {
    breaks,
    how,
    mutate(instance) {
      const cloud = instance.implementation as MemoryCloud;
      const implementation: CloudConnector = {
        describe: () => cloud.describe(),
        checkCredentials: () => cloud.checkCredentials(),
        listOfferings: (input) => cloud.listOfferings(input),
        listImages: (input) => cloud.listImages(input),
        listNetworks: (input) => cloud.listNetworks(input),
        createInstance: (input, context) => cloud.createInstance(input, context),
        observeInstance: (input) => cloud.observeInstance(input),
        removeInstance: (input, context) => cloud.removeInstance(input, context),
        listInstances: (input) => cloud.listInstances(input),
        getOperation: (input) => cloud.getOperation(input),
        facets: cloud.facets,
        ...change(cloud),
      };
      return { ...instance, implementation };
    },
  };
}

/** A cloud whose facet answers some operations in another way. */
export function facet<Name extends keyof MemoryCloud["facets"]>(
  cloud: MemoryCloud,
  name: Name,
  change: Partial<NonNullable<CloudFacets[Name]>>,
): Partial<CloudConnector> {
  return { facets: { ...cloud.facets, [name]: { ...cloud.facets[name], ...change } } };
}

/** A call that answers something where it should fail. */
export async function forgiving<T>(call: Promise<T>, otherwise: () => T | Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (!isVdcError(error)) throw error;
    return otherwise();
  }
}
