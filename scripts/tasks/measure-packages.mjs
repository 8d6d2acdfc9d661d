import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import ts from "typescript";
import { runQuietly } from "../setup/child-process.mjs";
import { rootDirectory } from "../setup/paths.mjs";
import { publishedPackages } from "./packages.mjs";

/** What an author installs: a plugin's dependencies, a program's, and what certifies. */
const installed = ["@vdc-os/core", "@vdc-os/sdk", "@vdc-os/ready"];

/** Programs of users: a datacenter, and a plugin of the template. */
const programs = {
  "a datacenter": ["tests/packages/consumer/datacenter.ts"],
  "a storage plugin": ["index", "facets", "certification"].map(
    (name) => `packages/create-plugin/templates/storage/src/${name}.ts`,
  ),
};

/**
 * Figures of the published packages that are the same on every machine, for they come from the sources and the lockfile alone:
 *
 * - `packages`: of each, the bytes of its tarball (`packed`) and of the files in it (`unpacked`), and how many types the compiler instantiates to
 *   check its declarations and a program that imports everything from it (`instantiations`).
 * - `programs`: of each program as users write it, how many types the compiler instantiates to check it.
 * - `installs`: of each set that an author installs, the bytes and packages (`bytes`, `packages`) with all that it depends on.
 *
 * @returns {Promise<Record<"packages" | "programs" | "installs", Record<string, Record<string, number>>>>}
 */
export async function measurePackages() {
  const packed = JSON.parse(await runQuietly(process.execPath, [join(rootDirectory, "scripts/tasks/packed.mjs")]));
  const sources = new Map(publishedPackages().map((entry) => [entry.manifest.name, entry]));
  const place = realpathSync(mkdtempSync(join(tmpdir(), "vdc-measure-")));
  try {
    const figures = { packages: {}, programs: {}, installs: {} };
    for (const { name, tarball } of packed) {
      const directory = join(place, "node_modules", name);
      mkdirSync(directory, { recursive: true });
      await runQuietly("tar", ["-xzf", tarball, "-C", directory, "--strip-components=1"]);
      linkDependencies(directory, sources.get(name).directory);
      figures.packages[name] = { packed: statSync(tarball).size, unpacked: sizeOf(directory) };
    }
    writeFileSync(join(place, "package.json"), '{ "type": "module" }');
    symlinkSync(realpathSync(join(rootDirectory, "node_modules/zod")), join(place, "node_modules/zod"), "dir");
    const count = instantiationCounter();
    for (const { name } of packed) {
      const directory = join(place, "node_modules", name);
      const program = join(place, "program.ts");
      writeFileSync(program, programOfAll(name, readManifest(directory)));
      figures.packages[name].instantiations = count([program], (path) => path.startsWith(`${directory}/dist/`));
      rmSync(program);
    }
    for (const [name, files] of Object.entries(programs)) {
      const folder = join(place, name.replaceAll(" ", "-"));
      cpSync(join(rootDirectory, dirname(files[0])), folder, { recursive: true });
      const roots = files.map((path) => join(folder, basename(path)));
      figures.programs[name] = { instantiations: count(roots, (path) => path.startsWith(`${folder}/`)) };
    }
    for (const name of installed) figures.installs[name] = sizeOfInstall(name, place);
    return figures;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** The dependencies of others, in the versions of the lockfile. Those of our own are found one folder above. */
function linkDependencies(directory, source) {
  const modules = join(source, "node_modules");
  for (const name of dependenciesOf(directory)) {
    if (name.startsWith("@vdc-os/")) continue;
    const target = join(directory, "node_modules", name);
    mkdirSync(dirname(target), { recursive: true });
    symlinkSync(realpathSync(join(modules, name)), target, "dir");
  }
}

function dependenciesOf(directory) {
  const { dependencies, peerDependencies, peerDependenciesMeta } = readManifest(directory);
  const peers = Object.keys(peerDependencies ?? {}).filter((name) => peerDependenciesMeta?.[name]?.optional !== true);
  return [...Object.keys(dependencies ?? {}), ...peers];
}

function readManifest(directory) {
  return JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
}

/** The bytes of a package's files, without what it depends on. */
function sizeOf(directory) {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory() && entry.name !== "node_modules") bytes += sizeOf(path);
    else if (entry.isFile()) bytes += statSync(path).size;
  }
  return bytes;
}

/** Of a package and all that it depends on, each once. */
function sizeOfInstall(name, place) {
  const directories = new Set();
  const visit = (directory) => {
    if (directories.has(directory)) return;
    directories.add(directory);
    for (const dependency of dependenciesOf(directory)) visit(findPackage(dependency, directory));
  };
  visit(join(place, "node_modules", name));
  return { bytes: [...directories].reduce((sum, directory) => sum + sizeOf(directory), 0), packages: directories.size };
}

function findPackage(name, from) {
  for (let folder = from; dirname(folder) !== folder; folder = dirname(folder)) {
    const path = join(folder, "node_modules", name);
    if (existsSync(path)) return realpathSync(path);
  }
  throw new Error(`'${name}' is not installed, which '${from}' depends on`);
}

function programOfAll(name, { exports }) {
  const specifiers = Object.entries(exports)
    .filter(([subpath, target]) => typeof target === "object" && subpath !== "./vitest")
    .map(([subpath]) => join(name, subpath));
  const imports = specifiers.map((specifier, index) => `import * as m${index} from "${specifier}";`);
  return `${imports.join("\n")}\nexport const everything = [${specifiers.map((_, index) => `m${index}`).join(", ")}];\n`;
}

/** The compiler's own count for a program, of which it checks the roots and what is asked. */
function instantiationCounter() {
  const options = {
    target: ts.ScriptTarget.ES2023,
    lib: ["lib.es2023.d.ts", "lib.esnext.disposable.d.ts"],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    strict: true,
    exactOptionalPropertyTypes: true,
    types: ["node"],
    typeRoots: [join(rootDirectory, "node_modules/@types")],
    allowImportingTsExtensions: true,
    noEmit: true,
  };
  const host = ts.createCompilerHost(options);
  const parse = host.getSourceFile;
  const parsed = new Map();
  return (roots, isChecked) => {
    host.getSourceFile = (path, ...rest) => {
      if (roots.includes(path)) return parse(path, ...rest);
      if (!parsed.has(path)) parsed.set(path, parse(path, ...rest));
      return parsed.get(path);
    };
    const program = ts.createProgram(roots, options, host);
    for (const file of program.getSourceFiles()) {
      if (!roots.includes(file.fileName) && !isChecked(file.fileName)) continue;
      const [problem] = program.getSemanticDiagnostics(file);
      if (problem === undefined) continue;
      throw new Error(`${file.fileName}: ${ts.flattenDiagnosticMessageText(problem.messageText, "\n")}`);
    }
    return program.getInstantiationCount();
  };
}
