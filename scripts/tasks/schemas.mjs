import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * Writes `dist/schemas/<contract>/v<major>.json` for each contract that a package exports as `./<contract>/v<major>`: its operations as JSON
 * Schema, made from the token itself. Returns the files' paths in `dist/schemas`.
 *
 * @param {{ directory: string, manifest: Record<string, any>, entries: Record<string, string> }} options
 * @returns {Promise<string[]>}
 */
export async function writeSchemas({ directory, manifest, entries }) {
  if (manifest.exports?.["./schemas/*"] === undefined) return [];
  const load = (source) => import(pathToFileURL(join(directory, source)).href);
  const { contractJsonSchema } = await load("src/index.ts");
  const written = [];
  for (const [name, source] of Object.entries(entries)) {
    const [, contract] = /^([^/]+\/v\d+)\/index$/.exec(name) ?? [];
    if (contract === undefined) continue;
    const points = Object.values(await load(source)).filter(isExtensionPoint);
    if (points.length !== 1) throw new Error(`${manifest.name}: '${source}' exports ${points.length} extension points`);
    const path = join(directory, "dist/schemas", `${contract}.json`);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(contractJsonSchema(points[0]), null, 1)}\n`);
    written.push(`${contract}.json`);
  }
  return written;
}

function isExtensionPoint(value) {
  return (
    typeof value === "object" && value !== null && "operations" in value && "facets" in value && "version" in value
  );
}
