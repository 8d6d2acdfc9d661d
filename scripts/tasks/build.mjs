// Builds every published package: ES modules with source maps by tsup, and type declarations, into its dist folder.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "tsup";
import { rootDirectory } from "../setup/paths.mjs";
import { writeDeclarations } from "./declarations.mjs";
import { publishedPackages } from "./packages.mjs";
import { writeSchemas } from "./schemas.mjs";

const startedAt = performance.now();
const packages = publishedPackages();
const names = new Set(packages.map(({ manifest }) => manifest.name));

for (const { directory, manifest, entries } of packages) {
  for (const [name, range] of Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    if (range.startsWith("workspace:") && !names.has(name)) {
      throw new Error(`'${manifest.name}' is published but depends on '${name}', which is not.`);
    }
  }
  rmSync(join(directory, "dist"), { recursive: true, force: true });
  await build({
    entry: Object.fromEntries(Object.entries(entries).map(([name, source]) => [name, join(directory, source)])),
    outDir: join(directory, "dist"),
    external: [/^@vdc-os\//, ...Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })],
    config: false,
    tsconfig: join(rootDirectory, "tsconfig.json"),
    format: ["esm"],
    platform: "node",
    target: "node22",
    sourcemap: true,
    splitting: true,
    // 'node:sqlite' has no other name.
    removeNodeProtocol: false,
    dts: false,
    silent: true,
  });
  writeDeclarations({ directory, entries: Object.values(entries) });
  await writeSchemas({ directory, manifest, entries });
}

const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
console.log(`Built ${packages.length} packages in ${seconds} s`);
