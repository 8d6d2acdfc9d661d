import { readFile } from "node:fs/promises";
import { checkPackage, createPackageFromTarballData, Package, type Problem } from "@arethetypeswrong/core";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { beforeAll, expect, it } from "vitest";
import { type PackedPackage, packedPackages } from "./packed-packages.ts";
import { tarballFiles } from "./tarball-files.ts";

const timeout = 900_000;

let packed: readonly PackedPackage[];

beforeAll(async () => {
  packed = await packedPackages();
}, timeout);

it("publint finds nothing, strictly", { timeout }, async () => {
  const found = packed.map(async ({ name, tarball }) => {
    const bytes = await readFile(tarball);
    const manifest = JSON.parse(String((await tarballFiles(tarball)).get("package.json")));
    const { messages } = await publint({ strict: true, pack: { tarball: new Uint8Array(bytes).buffer } });
    return messages.map((message) => `${name}: ${formatMessage(message, manifest, { color: false })}`);
  });
  expect((await Promise.all(found)).flat(), "Mend the package.json that is named; 'npx publint' explains").toEqual([]);
});

it("the types are what the modules are, for whoever imports ES modules (attw, profile 'esm-only')", {
  timeout,
}, async () => {
  const found: string[] = [];
  for (const { tarball } of packed) {
    found.push(...(await problemsOfTypes(createPackageFromTarballData(new Uint8Array(await readFile(tarball))))));
  }
  expect(found, "The kinds are explained at https://arethetypeswrong.github.io").toEqual([]);
});

it("types that are not there, or are another format's, are found", async () => {
  const manifest = { name: "x", version: "1.0.0", type: "module" };
  const of = (exports: object, files: Record<string, string>): Package => {
    const all = {
      "package.json": JSON.stringify({ ...manifest, exports }),
      "index.js": "export const x = 1;",
      ...files,
    };
    const paths = Object.entries(all).map(([path, text]) => [`/node_modules/x/${path}`, text]);
    return new Package(Object.fromEntries(paths), "x", "1.0.0");
  };
  const declared = {
    "index.d.ts": "export declare const x: number;",
    "index.d.cts": "export declare const x: number;",
  };
  expect(await problemsOfTypes(of({ ".": "./index.js" }, {}))).toEqual(["x: has no types"]);
  const wrong = of({ ".": { types: "./index.d.cts", default: "./index.js" } }, declared);
  expect(await problemsOfTypes(wrong)).toContain("x: FalseCJS in '/node_modules/x/index.d.cts'");
  const right = of({ ".": { types: "./index.d.ts", default: "./index.js" } }, declared);
  expect(await problemsOfTypes(right)).toEqual([]);
});

async function problemsOfTypes(subject: Package): Promise<readonly string[]> {
  const result = await checkPackage(subject);
  if (!result.types) return [`${subject.packageName}: has no types`];
  return result.problems.filter(isOfEsmOnly).map((problem) => `${subject.packageName}: ${describeProblem(problem)}`);
}

/** What `attw --profile esm-only` counts: resolution as CommonJS and that of old Node.js are not promised. */
function isOfEsmOnly(problem: Problem): boolean {
  if (!("resolutionKind" in problem)) return true;
  return problem.resolutionKind !== "node10" && problem.resolutionKind !== "node16-cjs";
}

function describeProblem(problem: Problem): string {
  const where =
    "entrypoint" in problem
      ? ` of '${problem.entrypoint}', for ${problem.resolutionKind}`
      : "typesFileName" in problem
        ? ` in '${problem.typesFileName}'`
        : ` in '${problem.fileName}'`;
  return `${problem.kind}${where}`;
}
