import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readContractFacets, templates } from "./contract-facets.ts";
import { extensionPoints, type PointName } from "./extension-point.ts";
import { facetFiles } from "./facet-files.ts";
import { type LicenseName, licenseNames } from "./license-file.ts";
import { packageFiles } from "./package-files.ts";
import { likelyRepository, repositoryUrl } from "./repository-url.ts";

/** Options of {@link createPlugin}. */
export interface CreatePluginOptions {
  /** The folder of the new package. It must not be there, or be empty. */
  readonly directory: string;
  readonly point: PointName;
  /** The name of the package. Defaults to an example. */
  readonly name?: string | undefined;
  /** Facets of the contract. Defaults to none. */
  readonly facets?: readonly string[] | undefined;
  /** The licence of the package. Defaults to `Apache-2.0`. */
  readonly license?: LicenseName | undefined;
  /** Where its source is: `https://github.com/acme/array`, or `acme/array` for short. Defaults to a guess by its name. */
  readonly repository?: string | undefined;
}

/** What was written. */
export interface CreatedPlugin {
  readonly name: string;
  /** Where its `package.json` says that its source is. */
  readonly repository: string;
  /** Paths in the folder, in order. */
  readonly files: readonly string[];
  /** The file to begin with. */
  readonly begin: string;
}

/** What can't be done as it was asked. Its text is for people. */
export class CreatePluginError extends Error {
  override readonly name = "CreatePluginError";
}

/** Writes the package of a plugin that compiles and meets every requirement of its suite as it stands. */
export async function createPlugin(options: CreatePluginOptions): Promise<CreatedPlugin> {
  const { directory } = options;
  const point = extensionPoints.find(({ name }) => name === options.point);
  if (point === undefined) {
    const names = extensionPoints.map(({ name }) => name).join(", ");
    const why =
      String(options.point) === "host"
        ? "a datacenter takes its hosts as links, not from plugins: see 'Write a host runtime'"
        : `there are ${names}`;
    throw new CreatePluginError(`there is no template for the extension point '${options.point}': ${why}`);
  }
  const name = options.name ?? point.packageName;
  const words = wordsOf(name);
  const contracts = readContractFacets();
  const facets = [...new Set(options.facets ?? [])];
  const known = Object.keys(contracts[point.name]);
  const unknown = facets.filter((facet) => !known.includes(facet));
  if (unknown.length > 0) {
    const there = known.length === 0 ? "its contract has none" : `there are ${known.join(", ")}`;
    throw new CreatePluginError(`'${point.name}' has no facet '${unknown.join("', '")}': ${there}`);
  }
  const { license = licenseNames[0] } = options;
  if (!licenseNames.includes(license)) {
    throw new CreatePluginError(`there is no text for the licence '${license}': there are ${licenseNames.join(", ")}`);
  }
  const repository = repositoryUrl(options.repository ?? likelyRepository(name));
  if (repository === undefined) {
    throw new CreatePluginError(`'${options.repository}' is no repository, such as https://github.com/acme/array`);
  }
  const there = await readdir(directory).catch(() => []);
  if (there.length > 0) throw new CreatePluginError(`'${directory}' is not empty`);

  const rename = (text: string): string =>
    text
      .replaceAll(point.packageName, name)
      .replaceAll("Acme", words.map(capital).join(""))
      .replaceAll("acme-", `${words.join("-")}-`);
  const code: Record<string, string> = {};
  const folder = new URL(`${point.name}/src/`, templates);
  for (const file of await readdir(folder)) {
    code[`src/${file}`] = await readFile(new URL(file, folder), "utf8");
  }
  Object.assign(code, facetFiles({ point, facets, contracts }));
  const renamed = Object.entries(code).map(([path, text]) => [rename(path), rename(withJsImports(text))] as const);
  const begin = rename(`src/${point.standIn}`);
  const files = {
    ...Object.fromEntries(renamed),
    ...packageFiles({ point, name, facets, license, repository, begin }),
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), text, { flag: "wx" });
  }
  return { name, repository, files: Object.keys(files).sort(), begin };
}

/** The words of a package's name, without what all such packages are called: `@corp/vdc-fast-array` is `fast`, `array`. */
function wordsOf(name: string): readonly string[] {
  if (!/^(@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/.test(name) || name.length > 214) {
    throw new CreatePluginError(`'${name}' is no name of an npm package`);
  }
  const [, scope = "", rest = name] = /^@([^/]+)\/(.*)$/.exec(name) ?? [];
  const all = rest.split(/[^a-z0-9]+/).filter((word) => word !== "");
  const own = all.filter(
    (word) => !/^(vdc|os|plugin|vault|storage|network|compute|cloud|state|secret|backup)$/.test(word),
  );
  const words = own.length > 0 ? own : scope.split(/[^a-z0-9]+/).filter((word) => word !== "");
  return /^[a-z]/.test(words[0] ?? "") ? words : ["my", ...words];
}

function capital(word: string): string {
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}

/** The templates import each other as they are checked here; what is compiled imports what the compiler writes. */
function withJsImports(text: string): string {
  return text.replace(/(from "\.\/[^"]+)\.ts"/g, '$1.js"');
}
