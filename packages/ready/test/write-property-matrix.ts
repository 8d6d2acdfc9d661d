// Writes the matrix of properties anew into README.md: `node packages/ready/test/write-property-matrix.ts`.
import { readFileSync, writeFileSync } from "node:fs";
import { formatMatrix, formatNames } from "./property-matrix.ts";

const path = new URL("../README.md", import.meta.url);
const [before, rest = ""] = readFileSync(path, "utf8").split("<!-- matrix -->\n");
const [, after] = rest.split("<!-- end of matrix -->\n");
const text = `<!-- matrix -->\n\n${formatMatrix()}\n\n${formatNames()}\n\n<!-- end of matrix -->\n`;
writeFileSync(path, `${before}${text}${after}`);
