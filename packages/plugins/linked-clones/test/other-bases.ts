import type { Description } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";

/** A provider without some of its facets. */
export function without(provider: StorageProvider, lacks: readonly string[]): StorageProvider {
  return changed(provider, (description) => ({
    ...description,
    facets: Object.fromEntries(
      Object.entries(description.facets).map(([name, availability]) => [
        name,
        lacks.includes(name) ? ({ status: "unavailable", reason: "it is left out" } as const) : availability,
      ]),
    ),
  }));
}

/** A provider that says other limits of a facet. */
export function withLimits(
  provider: StorageProvider,
  facet: string,
  limits: Readonly<Record<string, string | number | boolean | readonly string[]>>,
): StorageProvider {
  return changed(provider, (description) => {
    const present = description.facets[facet];
    if (present?.status !== "available") return description;
    const said = { ...present, limits: { ...present.limits, ...limits } as typeof present.limits };
    return { ...description, facets: { ...description.facets, [facet]: said } };
  });
}

function changed(provider: StorageProvider, change: (description: Description) => Description): StorageProvider {
  return {
    describe: async (input, context) => change(await provider.describe(input, context)),
    createVolume: (input, context) => provider.createVolume(input, context),
    deleteVolume: (input, context) => provider.deleteVolume(input, context),
    getVolume: (input, context) => provider.getVolume(input, context),
    listVolumes: (input, context) => provider.listVolumes(input, context),
    capacity: (input, context) => provider.capacity(input, context),
    attachVolume: (input, context) => provider.attachVolume(input, context),
    detachVolume: (input, context) => provider.detachVolume(input, context),
    revokeAttachment: (input, context) => provider.revokeAttachment(input, context),
    getAttachment: (input, context) => provider.getAttachment(input, context),
    health: (input, context) => provider.health(input, context),
    ...(provider.facets === undefined ? {} : { facets: provider.facets }),
  };
}
