import type { Description, FacetAvailability, JsonObject } from "@vdc-os/core";
import { layersSnapshots } from "./base-storage.ts";
import { passedFacets } from "./passed-facet.ts";

/** The package's version. */
export const packageVersion = "0.1.0";

/** What the provider says of itself, from what the one underneath says. */
export function describeClones(name: string, base: Description, flattenAtDepth: number | undefined): Description {
  const facetOf = (facet: string): FacetAvailability =>
    base.facets[facet] ?? {
      status: "unavailable",
      reason: `provider '${name}' underneath does not list facet '${facet}'`,
    };
  const facets: Record<string, FacetAvailability> = {
    ...clonesAndLineage(name, base, facetOf, flattenAtDepth),
    layering: { status: "unavailable", reason: "clones are made with facet 'clones', which keeps count of them" },
  };
  for (const facet of ["resize", "importExport", "snapshots", "groupSnapshots", ...passedFacets]) {
    facets[facet] = facetOf(facet);
  }
  return {
    implementation: {
      name: "@vdc-os/plugin-linked-clones",
      version: packageVersion,
      simulated: base.implementation.simulated,
    },
    facets,
    attributes: { ...base.attributes, base: name },
  };
}

function clonesAndLineage(
  name: string,
  base: Description,
  facetOf: (facet: string) => FacetAvailability,
  flattenAtDepth: number | undefined,
): Record<string, FacetAvailability> {
  const layering = facetOf("layering");
  const clones = facetOf("clones");
  if (layering.status === "unavailable") {
    const lacks = `provider '${name}' underneath has no facet 'layering': ${layering.reason}`;
    if (clones.status === "unavailable") {
      const reason = `${lacks}; nor has it facet 'clones': ${clones.reason}`;
      return { clones: { status: "unavailable", reason }, lineage: { status: "unavailable", reason } };
    }
    const evidence = `clones of provider '${name}' itself, passed on: ${clones.evidence}`;
    return {
      clones: { ...clones, evidence },
      lineage: {
        status: "unavailable",
        reason: `${lacks}; its clones are its own, and what they share is known to it`,
      },
    };
  }
  const evidence = `overlays of provider '${name}' (${base.implementation.name} ${base.implementation.version})`;
  const ofSnapshots = layersSnapshots(base);
  const lacking = ofSnapshots
    ? ""
    : `; of volumes alone, and not while they are written: ${whyNoSnapshots(name, facetOf("snapshots"))}`;
  const limits: JsonObject = {
    kinds: ["linked", "full"],
    maxDepth: layering.limits.maxDepth ?? 0,
    maxChildren: 0,
    sources: ofSnapshots ? ["volume", "snapshot"] : ["volume"],
    online: ofSnapshots,
    ...(flattenAtDepth === undefined ? {} : { flattenAtDepth }),
  };
  return {
    clones: { status: "available", limits, evidence: evidence + lacking },
    lineage: { status: "available", limits: { promote: "copies" }, evidence },
  };
}

function whyNoSnapshots(name: string, snapshots: FacetAvailability): string {
  return snapshots.status === "unavailable"
    ? `provider '${name}' has no facet 'snapshots': ${snapshots.reason}`
    : `provider '${name}' makes no overlays of snapshots (its facet 'layering' does not name them in 'parents')`;
}
