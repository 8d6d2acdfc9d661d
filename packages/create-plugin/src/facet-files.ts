import type { ContractFacets } from "./contract-facets.ts";
import type { ExtensionPoint } from "./extension-point.ts";

/** Options of {@link facetFiles}. */
export interface FacetFilesOptions {
  readonly point: ExtensionPoint;
  /** The facets that were asked for. */
  readonly facets: readonly string[];
  readonly contracts: ContractFacets;
}

/**
 * The files of a plugin that say which facets it has, by their paths. A facet that is a stub is unavailable, because it is not written yet:
 * so the plugin claims nothing that it does not do.
 */
export function facetFiles({ point, facets, contracts }: FacetFilesOptions): Readonly<Record<string, string>> {
  if (point.facets === "fixed" || facets.length === 0) return {};
  if (point.facets === "declared") {
    const names = facets.map((facet) => JSON.stringify(facet)).join(", ");
    return {
      "src/facets.ts": `/** The facets of the contract that the plugin says it has: the kit tries these. */
export const declaredFacets: readonly string[] = [${names}];
`,
    };
  }
  const type = `${point.contract.replace("Provider", "")}Facets`;
  const imports = facets.map((facet) => `import { ${facet} } from "./${fileOf(facet)}.ts";`).join("\n");
  const availability = facets.map(
    (facet) => `  // Once it is written: { status: "available", limits: {}, evidence: "how you know" }
  ${facet}: { status: "unavailable", reason: "facet '${facet}' is not written yet" },`,
  );
  const files: Record<string, string> = {
    "src/facets.ts": `import type { Description } from "@vdc-os/core";
import type { ${type} } from "@vdc-os/core/${point.name}/v1";
${imports}

/** The facets of the contract that the plugin has. */
export const facets: ${type} = { ${facets.join(", ")} };

/** What \`describe\` says of them. */
export const facetAvailability: Description["facets"] = {
${availability.join("\n")}
};
`,
    "src/not-written-yet.ts": `import { VdcError } from "@vdc-os/core";

/** What an operation fails with until it is written. */
export function notWrittenYet(operation: string): VdcError {
  return new VdcError("UNIMPLEMENTED", \`'\${operation}' is not written yet\`);
}
`,
  };
  for (const facet of facets) {
    const operations = Object.entries(contracts[point.name][facet] ?? {}).map(([operation, kind]) =>
      kind === "unary"
        ? `  async ${operation}() {\n    throw notWrittenYet("${operation}");\n  },`
        : `  // biome-ignore lint/correctness/useYield: it is not written yet.\n  async *${operation}() {\n    throw notWrittenYet("${operation}");\n  },`,
    );
    files[`src/${fileOf(facet)}.ts`] = `import type { FacetOf } from "@vdc-os/core";
import type { ${point.contract} } from "@vdc-os/core/${point.name}/v1";
import { notWrittenYet } from "./not-written-yet.ts";

/** Facet \`${facet}\`. \`npx vdc-ready list ${point.name}\` lists what it must do. */
export const ${facet}: FacetOf<${point.contract}, "${facet}"> = {
${operations.join("\n")}
};
`;
  }
  return files;
}

function fileOf(facet: string): string {
  return `${facet.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}-facet`;
}
