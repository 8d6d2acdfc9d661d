import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { certify } from "@vdc-os/ready";
import ts from "typescript";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { facetsOfContracts } from "../test/facets-of-contracts.ts";
import { readContractFacets } from "./contract-facets.ts";
import { type CreatePluginOptions, createPlugin } from "./create-plugin.ts";
import { extensionPoints } from "./extension-point.ts";
import { licenseNames } from "./license-file.ts";
import { versions } from "./package-files.ts";
import { repositoryUrl } from "./repository-url.ts";
import { runCommandLine } from "./run-command-line.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const own = fileURLToPath(new URL("..", import.meta.url));
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-create-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Gives a new package what it depends on, as an installer would. */
function install(directory: string): void {
  mkdirSync(join(directory, "node_modules"));
  for (const name of ["@vdc-os", "zod"])
    symlinkSync(join(own, "node_modules", name), join(directory, "node_modules", name));
  for (const name of ["@types", "vitest"])
    symlinkSync(join(root, "node_modules", name), join(directory, "node_modules", name));
}

/** Compiles packages of a folder by the settings of one of them, all at once: the workspace's packages are sources here. Returns what is wrong. */
function build(place: string, directories: readonly string[]): readonly string[] {
  const [first = ""] = directories;
  const { config } = ts.readConfigFile(join(first, "tsconfig.json"), ts.sys.readFile);
  const { rootDir, outDir, ...compilerOptions } = config.compilerOptions as Record<string, unknown>;
  const given = {
    compilerOptions: { ...compilerOptions, noEmit: true, allowImportingTsExtensions: true },
    include: ["*/src"],
  };
  const { options, fileNames } = ts.parseJsonConfigFileContent(given, ts.sys, place);
  const program = ts.createProgram(fileNames, options);
  return program.getSourceFiles().flatMap((file) => {
    const [, directory = "", path = ""] = /^(.*)\/src\/([^/]+)\.ts$/.exec(file.fileName) ?? [];
    if (!directories.includes(directory)) return [];
    const settings = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 };
    mkdirSync(join(directory, "dist"), { recursive: true });
    writeFileSync(join(directory, "dist", `${path}.js`), ts.transpile(file.text, settings));
    const problems = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)];
    return problems.map(({ messageText }) => `${file.fileName}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`);
  });
}

describe("new plugins, with every facet as a stub", () => {
  const all = extensionPoints.map(({ name }) => name);
  let place: string;
  const directoryOf = (point: string): string => join(place, point);

  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), "vdc-create-"));
    for (const point of all) {
      const [directory, facets] = [directoryOf(point), Object.keys(readContractFacets()[point])];
      await createPlugin({ directory, point, name: "@corp/vdc-fast-thing", facets });
      install(directory);
    }
  });

  afterAll(() => rmSync(place, { recursive: true, force: true }));

  it("bear the names of their packages", () => {
    for (const point of all) expect([...sourcesOf(directoryOf(point)).values()].join("")).not.toMatch(/acme/i);
  });

  it("compile", { timeout: 120_000 }, () => expect(build(place, all.map(directoryOf))).toEqual([]));

  it.each(all)("are certified as they stand: %s", { timeout: 240_000 }, async (point) => {
    const { suites, problems, verdict } = await certify({ package: directoryOf(point) });
    const results = suites.flatMap((suite) => suite.results);
    expect(results.filter(({ status }) => status !== "pass" && status !== "not-applicable")).toEqual([]);
    expect({ problems, verdict }).toEqual({ problems: [], verdict: "success" });
  });
});

/** The text of each source of a package, by its path. */
function sourcesOf(directory: string): ReadonlyMap<string, string> {
  return new Map(
    readdirSync(join(directory, "src")).map((path) => [path, readFileSync(join(directory, "src", path), "utf8")]),
  );
}

it.each(extensionPoints)("a new plugin for $name needs no kit where it runs", async ({ name: point }) => {
  const directory = join(folder, point);
  await createPlugin({ directory, point });
  const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  expect(Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })).toEqual(["zod", "@vdc-os/core"]);
  expect(Object.keys(manifest.devDependencies)).toContain("@vdc-os/ready");
  const users = [...sourcesOf(directory)].flatMap(([path, text]) => (text.includes("@vdc-os/ready") ? [path] : []));
  // The factory is what the kit loads, and nothing that a plugin loads: no other source imports it.
  expect(users.sort()).toEqual(["certification.test.ts", "certification.ts"]);
  const importers = [...sourcesOf(directory)].filter(([, text]) => text.includes('"./certification.js"'));
  expect(importers.map(([path]) => path)).toEqual(["certification.test.ts"]);
});

describe("a new package", () => {
  async function manifestOf(options: Omit<CreatePluginOptions, "directory" | "point">) {
    const directory = join(folder, "made");
    await createPlugin({ directory, point: "secret", ...options });
    const manifest = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    return { ...manifest, licence: readFileSync(join(directory, "LICENSE"), "utf8") };
  }

  it("has the house's licence, and a repository by its name, unless others are asked for", async () => {
    expect(await manifestOf({ name: "@corp/vdc-array" })).toMatchObject({
      license: "Apache-2.0",
      licence: readFileSync(join(root, "LICENSE"), "utf8"),
      repository: { type: "git", url: "git+https://github.com/corp/vdc-array.git" },
    });
  });

  it("has the licence and the repository that are asked for", async () => {
    const made = await manifestOf({ name: "array", license: "MIT", repository: "https://git.example/a/b/c.git" });
    expect(made).toMatchObject({ license: "MIT", repository: { url: "git+https://git.example/a/b/c.git" } });
    expect(made.licence).toMatch(/^MIT License\n\nCopyright \(c\) \d{4} the authors of array\n/);
  });

  it.each(licenseNames)("has the text of %s, without anything to fill in", async (license) => {
    const made = await manifestOf({ license });
    expect(made.license).toBe(license);
    expect(made.licence).not.toMatch(/<\w+>/);
  });
});

it.each([
  ["acme/array", "git+https://github.com/acme/array.git"],
  ["github:acme/array", "git+https://github.com/acme/array.git"],
  ["https://github.com/acme/array/", "git+https://github.com/acme/array.git"],
  ["git+https://github.com/acme/array.git", "git+https://github.com/acme/array.git"],
  ["git@github.com:acme/array.git", "git+ssh://git@github.com/acme/array.git"],
  ["ssh://git@git.example:2222/acme/array", "git+ssh://git@git.example:2222/acme/array.git"],
  ["https://user:secret@git.example/acme/array", undefined],
  ["https://github.com/", undefined],
  ["file:///array", undefined],
  ["array", undefined],
])("the repository '%s' is written as %s", (text, url) => {
  expect(repositoryUrl(text)).toBe(url);
});

it("the facets of the contracts are those of the tokens: write-contract-facets.ts writes them", () => {
  expect(readContractFacets()).toEqual(facetsOfContracts());
});

it("the versions that it writes are those that are tested here", () => {
  const read = (path: string): { version: string; devDependencies: Record<string, string> } =>
    JSON.parse(readFileSync(join(root, path), "utf8"));
  expect(versions.vdcOs).toBe(`^${read("packages/core/package.json").version}`);
  const { devDependencies } = read("package.json");
  for (const name of ["typescript", "vitest", "publint", "zod"] as const)
    expect(versions[name]).toBe(`^${devDependencies[name]}`);
  expect(versions.changesets).toBe(`^${devDependencies["@changesets/cli"]}`);
});

describe("the command", () => {
  async function run(
    args: string,
    answers?: readonly string[],
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const stdin = answers === undefined ? undefined : Readable.from(answers.map((answer) => `${answer}\n`));
    const code = await runCommandLine({
      args: args.split(" ").filter((arg) => arg !== ""),
      cwd: folder,
      stdin,
      stdout,
      stderr,
    });
    const text = (stream: PassThrough): string => String(stream.read() ?? "");
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  it("takes flags, and tells what is next", async () => {
    const { code, stdout } = await run("mine --point secret --name my-vault");
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^my-vault is in 'mine': \d+ files\.\n\nNext:\n {2}1\. cd mine && npm install\n {2}2\. .*\n {2}3\. put your system in the place of src\/memory-vault\.ts/,
    );
  });

  it("asks for what is not given", async () => {
    const { code, stdout } = await run("", ["storage", "@corp/vdc-array", "snapshots, clones", ""]);
    expect(stdout).toContain("  storage  volumes: a storage array");
    expect(stdout).toContain("Name of the package (@acme/vdc-storage): ");
    expect(stdout).toContain("Licence: Apache-2.0, MIT, UNLICENSED (Apache-2.0): ");
    expect(stdout).toContain("Repository of its source (https://github.com/corp/vdc-array): ");
    expect(stdout).toContain("@corp/vdc-array is in 'vdc-array'");
    expect(code).toBe(0);
    expect(readdirSync(join(folder, "vdc-array/src"))).toEqual(
      expect.arrayContaining(["array-storage.ts", "clones-facet.ts"]),
    );
  });

  it.each([
    ["mine", "--point storage"],
    ["mine --point storge", "no template for the extension point 'storge'"],
    ["mine --point storage --facets teleport", "no facet 'teleport'"],
    ["mine --point secret --facets gate", "its contract has none"],
    ["mine --point host", "a datacenter takes its hosts as links"],
    ["mine --point storage --license GPL", "no text for the licence 'GPL'"],
    ["mine --point storage --repository nowhere", "'nowhere' is no repository"],
    ["mine --point storage --name Not/A/Name", "is no name of an npm package"],
    ["mine more --point storage", "'more' is too much"],
    [". --point storage", "is not empty"],
    ["mine --nonsense", "--nonsense"],
  ])("refuses '%s'", async (args, text) => {
    writeFileSync(join(folder, "something"), "");
    const { code, stderr } = await run(args);
    expect(stderr).toContain(text);
    expect(code).toBe(2);
  });
});
