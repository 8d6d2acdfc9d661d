import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A module that programs import: one entry of a published package's `exports`. */
export interface ApiModule {
  /** As it is imported: `@vdc-os/core/storage/v1`. */
  readonly specifier: string;
  readonly package: string;
  readonly packageDescription: string;
  /** The package's folder, from the root. */
  readonly folder: string;
  /** The source file, from the root. */
  readonly entry: string;
}

/** A package, as far as the site tells of it. */
interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly description?: string;
  readonly exports?: Readonly<Record<string, string>>;
}

/** Every module of every published package. Subpaths of tests and of data are none. */
export function findApiModules(root: string): readonly ApiModule[] {
  return findPackages(root, "packages").flatMap((folder) => {
    const manifest: Manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
    if (manifest.private === true) return [];
    return Object.entries(manifest.exports ?? {})
      .filter(([subpath, file]) => !subpath.startsWith("./test/") && /^\.\/src\/.*\.ts$/.test(file))
      .map(([subpath, file]) => ({
        specifier: `${manifest.name}${subpath.slice(1)}`,
        package: manifest.name,
        packageDescription: manifest.description ?? "",
        folder,
        entry: `${folder}/${file.slice(2)}`,
      }));
  });
}

function findPackages(root: string, folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !["node_modules", "dist", "src"].includes(entry.name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap(({ name }) => {
      const path = `${folder}/${name}`;
      return existsSync(join(root, path, "package.json")) ? [path] : findPackages(root, path);
    });
}
