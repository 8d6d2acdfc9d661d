// Writes templates/contract-facets.json anew from the contracts' tokens: `node packages/create-plugin/test/write-contract-facets.ts`.
import { writeFileSync } from "node:fs";
import { facetsOfContracts } from "./facets-of-contracts.ts";

const text = JSON.stringify(facetsOfContracts(), undefined, 2);
const path = new URL("../templates/contract-facets.json", import.meta.url);
writeFileSync(path, `${text}\n`);
