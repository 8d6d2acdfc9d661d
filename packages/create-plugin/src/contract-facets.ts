import { readFileSync } from "node:fs";
import type { PointName } from "./extension-point.ts";

/** The facets of each contract: their operations, and the kind of each. */
export type ContractFacets = Readonly<
  Record<PointName, Readonly<Record<string, Readonly<Record<string, "unary" | "stream" | "watch">>>>>
>;

/** Where templates are, beside the sources as beside what is built of them. */
export const templates: URL = new URL("../templates/", import.meta.url);

/** Reads the facets of the contracts that the templates are for. */
export function readContractFacets(): ContractFacets {
  return JSON.parse(readFileSync(new URL("contract-facets.json", templates), "utf8")) as ContractFacets;
}
