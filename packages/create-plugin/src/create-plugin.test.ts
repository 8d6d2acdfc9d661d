import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { certify } from "@vdc-os/ready";
import ts from "typescript";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { facetsOfContracts } from "../test/facets-of-contracts.ts";
import { readContractFacets } from "./contract-facets.ts";
import { createPlugin } from "./create-plugin.ts";
import { extensionPoints } from "./extension-point.ts";
import { versions } from "./package-files.ts";
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

/** Compiles packages by the settings of one of them, all at once: the workspace's packages are sources here. Returns what is wrong. */
function build(directories: readonly string[]): readonly string[] {
  const [first = ""] = directories;
  const { config } = ts.readConfigFile(join(first, "tsconfig.json"), ts.sys.readFile);
  const { rootDir, outDir, ...compilerOptions } = config.compilerOptions as Record<string, unknown>;
  const given = {
    compilerOptions: { ...compilerOptions, noEmit: true, allowImportingTsExtensions: true },
    include: ["*/src"],
  };
  const { options, fileNames } = ts.parseJsonConfigFileContent(given, ts.sys, folder);
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

/** The facets of the references that templates begin with. */
const ofReference = ["storageMigration", "diskCopy", "history", "backup"];

it("each new plugin compiles with every facet, and is certified as it stands", { timeout: 240_000 }, async () => {
  const made = extensionPoints.map(({ name, facets }) => {
    const all = Object.keys(readContractFacets()[name]);
    const wanted = { stubs: all, declared: all.filter((facet) => ofReference.includes(facet)), fixed: [] }[facets];
    return { name, wanted, directory: join(folder, name), declares: facets === "declared" };
  });
  for (const { name, wanted, directory } of made) {
    await createPlugin({ directory, point: name, name: "@corp/vdc-fast-thing", facets: wanted });
    install(directory);
    const sources = readdirSync(join(directory, "src")).map((path) =>
      readFileSync(join(directory, "src", path), "utf8"),
    );
    expect(sources.join("")).not.toMatch(/acme/i);
  }
  expect(build(made.map(({ directory }) => directory))).toEqual([]);
  for (const { wanted, directory, declares } of made) {
    const { suites, problems, verdict } = await certify({ package: directory });
    const results = suites.flatMap((suite) => suite.results);
    expect(results.filter(({ status }) => status !== "pass" && status !== "not-applicable")).toEqual([]);
    expect({ problems, verdict }).toEqual({ problems: [], verdict: "success" });
    const tried = new Set(results.filter(({ status }) => status === "pass").map(({ facet }) => facet));
    if (declares) expect([...tried]).toEqual(expect.arrayContaining(wanted));
  }
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
    expect(stdout).toContain("@corp/vdc-array is in 'vdc-array'");
    expect(code).toBe(0);
    expect(readdirSync(join(folder, "vdc-array/src"))).toEqual(
      expect.arrayContaining(["array-storage.ts", "clones-facet.ts"]),
    );
  });

  it.each([
    ["mine", "--point storage"],
    ["mine --point storge", "no extension point 'storge'"],
    ["mine --point storage --facets teleport", "no facet 'teleport'"],
    ["mine --point network --facets gate", "its facets are not chosen"],
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
