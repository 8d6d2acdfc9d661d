/** The facets of the contract that the plugin says it has: the kit tries these. */
export const declaredFacets: readonly string[] = [];
