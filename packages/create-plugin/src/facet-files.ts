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
 * The files of a plugin that say which facets it has, by their paths. Each that was asked for is a stub, and unavailable because it is not written yet: so the
 * plugin claims nothing that it does not do.
 */
export function facetFiles({ point, facets, contracts }: FacetFilesOptions): Readonly<Record<string, string>> {
  if (point.facets === undefined || facets.length === 0) return {};
  const client = clientOf(point.standIn);
  const contract = `@vdc-os/core/${point.name}/v1`;
  const type = point.facets;
  const files: Record<string, string> = {
    "src/facets.ts": `import type { Description } from "@vdc-os/core";
import type { ${type} } from "${contract}";
import type { ${client.type} } from "./${client.module}";
${[...facets]
  .sort()
  .map((facet) => `import { ${facet}Of } from "./${fileOf(facet)}";`)
  .join("\n")}

/** The facets of the contract that the plugin has, on ${client.words}. */
export function facetsOf(${client.name}: ${client.type}): ${type} {
  return { ${facets.map((facet) => `${facet}: ${facet}Of(${client.name})`).join(", ")} };
}

/** What \`describe\` says of them. Of one that is written: { status: "available", limits: {}, evidence: "how you know" } */
export const facetAvailability: Description["facets"] = {
${facets.map((facet) => `  ${facet}: { status: "unavailable", reason: "facet '${facet}' is not written yet" },`).join("\n")}
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
        ? `    async ${operation}() {\n      throw notWrittenYet("${operation}");\n    },`
        : `    // biome-ignore lint/correctness/useYield: it is not written yet.\n    async *${operation}() {\n      throw notWrittenYet("${operation}");\n    },`,
    );
    files[`src/${fileOf(facet)}`] = `import type { FacetOf } from "@vdc-os/core";
import type { ${point.contract} } from "${contract}";
import type { ${client.type} } from "./${client.module}";
import { notWrittenYet } from "./not-written-yet.ts";

/** Facet \`${facet}\`, on ${client.words}. \`npx vdc-ready list ${point.name}\` lists what it must do. */
export function ${facet}Of(${client.name}: ${client.type}): FacetOf<${point.contract}, "${facet}"> {
  return {
${operations.join("\n")}
  };
}
`;
  }
  return files;
}

/** What stands for the author's system: `memory-array.ts` has the class `MemoryArray`, and one of it is an `array`. */
function clientOf(module: string): Readonly<Record<"module" | "type" | "name" | "words", string>> {
  const words = module.replace(/\.ts$/, "").split("-");
  const name = words.at(-1) ?? "";
  return {
    module,
    type: words.map((word) => `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`).join(""),
    name,
    words: `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`,
  };
}

function fileOf(facet: string): string {
  return `${facet.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}-facet.ts`;
}
