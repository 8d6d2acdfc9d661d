import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { rootDirectory } from "../setup/paths.mjs";

/**
 * Every package that is published: its folder, its manifest, and its entry points as they are in the source.
 *
 * @returns {{ directory: string, manifest: Record<string, any>, entries: Record<string, string> }[]}
 */
export function publishedPackages() {
  const packages = [];
  const search = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || ["node_modules", "dist", "src"].includes(entry.name)) continue;
      const directory = join(folder, entry.name);
      const path = join(directory, "package.json");
      if (!existsSync(path)) {
        search(directory);
        continue;
      }
      const manifest = JSON.parse(readFileSync(path, "utf8"));
      if (manifest.private !== true) packages.push({ directory, manifest, entries: readEntries(directory, manifest) });
    }
  };
  search(join(rootDirectory, "packages"));
  return packages.sort((a, b) => (a.manifest.name < b.manifest.name ? -1 : 1));
}

/**
 * `dist/storage/v1.js` in publishConfig.exports is built from `src/storage/v1.ts`, and the development exports must
 * say the same. Anything else is a mistake in the manifest. What lies under `./test/` is for the tests of other packages of the workspace, and is not
 * published.
 */
function readEntries(directory, manifest) {
  const entries = {};
  const published = manifest.publishConfig?.exports ?? {};
  for (const subpath of new Set([...Object.keys(published), ...Object.keys(manifest.exports ?? {})])) {
    const target = published[subpath];
    if (target === undefined && subpath.startsWith("./test/")) continue;
    if (target === null || (typeof target === "string" && !target.startsWith("./dist/"))) continue;
    // Data that the build writes: it is there once the package was built.
    if (subpath.endsWith("/*") && target === manifest.exports?.[subpath]) continue;
    const file = typeof target === "string" ? target : target?.default;
    const match = /^\.\/dist\/(.+)\.js$/.exec(file ?? "");
    const source = match === null ? undefined : `./src/${match[1]}.ts`;
    if (match === null || manifest.exports?.[subpath] !== source || !existsSync(join(directory, source))) {
      throw new Error(
        `${manifest.name}: exports '${subpath}' is '${manifest.exports?.[subpath]}' in development and ` +
          `'${file}' when published; expected './src/<name>.ts' and './dist/<name>.js', with that file present.`,
      );
    }
    entries[match[1]] = source;
  }
  return entries;
}
