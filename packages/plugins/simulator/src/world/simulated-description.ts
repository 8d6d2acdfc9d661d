import type { AnyExtensionPoint, Description, FacetAvailability, JsonObject } from "@vdc-os/core";
import { simulatorName, simulatorVersion } from "./world-services.ts";

/** What a simulated provider says of itself. */
export interface SimulatedDescription {
  /** The facets that it has, with their limits. */
  readonly available: Readonly<Record<string, JsonObject>>;
  /** Why it has not the others, where there is more to say than that nobody simulated them. */
  readonly because?: Readonly<Record<string, string>>;
  readonly attributes: JsonObject;
}

/** Describes a simulated provider: every facet of the contract is there, and the answer says that all of it is simulated. */
export function describeSimulated(point: AnyExtensionPoint, own: SimulatedDescription): Description {
  const facets: Record<string, FacetAvailability> = {};
  for (const facet of Object.keys(point.facets)) {
    const limits = own.available[facet];
    facets[facet] =
      limits === undefined
        ? { status: "unavailable", reason: own.because?.[facet] ?? `the simulator does not simulate '${facet}'` }
        : { status: "available", limits, evidence: `simulated in memory by ${simulatorName} ${simulatorVersion}` };
  }
  return {
    implementation: { name: simulatorName, version: simulatorVersion, simulated: true },
    facets,
    attributes: { ...own.attributes, simulated: true },
  };
}
