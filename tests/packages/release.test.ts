import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { listFiles, read, readWorkspace, root } from "../architecture/source-tree.ts";
import { runProgram } from "./run-program.ts";

interface Versioned {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
}

const workspace = readWorkspace().map(({ directory, manifest }) => ({
  directory,
  manifest: manifest as unknown as Versioned,
}));
const published = workspace.filter(({ manifest }) => manifest.private !== true);
const changesets = listFiles(".changeset").filter((path) => path.endsWith(".md") && !path.endsWith("/README.md"));
const together = ["@vdc-os/core", "@vdc-os/sdk", "@vdc-os/ready"];

let place: string;

beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "vdc-release-"));
});

afterEach(() => rm(place, { recursive: true, force: true }));

/** The packages that a changeset names, and how each moves. */
function bumps(path: string): ReadonlyMap<string, string> {
  const [, head] = /^---\n(.*?)\n---\n/s.exec(read(path)) ?? [];
  const lines = (head ?? "").split("\n").map((line) => /^["']([^"']+)["']: (\w+)$/.exec(line));
  return new Map(lines.map((match) => [match?.[1] ?? "", match?.[2] ?? ""]));
}

it("each changeset names published packages, and tells their users what changes", () => {
  const names = new Set(published.map(({ manifest }) => manifest.name));
  const wrong = changesets.flatMap((path) => {
    const problems = [...bumps(path)].map(([name, bump]) => {
      if (name === "") return `${path}: begin with '---', then lines as '"@vdc-os/core": patch', then '---'`;
      if (!names.has(name)) return `${path}: '${name}' is not a published package`;
      // Before 1.0.0, a minor version is what may break.
      return /^(patch|minor)$/.test(bump) ? undefined : `${path}: '${bump}' of '${name}' is not 'patch' or 'minor'`;
    });
    const text = read(path).split("\n---\n").at(-1)?.trim() ?? "";
    return [...problems, text.length < 40 ? `${path}: say what changes for users, not '${text}'` : undefined];
  });
  expect(wrong.filter((problem) => problem !== undefined)).toEqual([]);
});

it("each package that was never released has a changeset", () => {
  const named = new Set(changesets.flatMap((path) => [...bumps(path).keys()]));
  const files = new Set(listFiles());
  const missing = published
    .filter(({ directory, manifest }) => !files.has(`${directory}/CHANGELOG.md`) && !named.has(manifest.name))
    .map(({ manifest }) => `${manifest.name}: add a file to .changeset that says what it is; 'npx changeset' asks`);
  expect(missing).toEqual([]);
});

it("a release of what is under way gives each package one step, and keeps together what moves together", async () => {
  const after = await release();
  for (const [name, { before, now }] of after) {
    const [major, minor, patch] = before.split(".").map(Number) as [number, number, number];
    const steps = [before, `${major}.${minor}.${patch + 1}`, `${major}.${minor + 1}.0`];
    expect(steps, `the version of ${name}, from ${before}`).toContain(now);
  }
  expect(new Set(together.map((name) => after.get(name)?.now)).size, `${together.join(", ")} move together`).toBe(1);
});

it("a plugin moves on its own", async () => {
  const after = await release({
    only: `---\n"@vdc-os/plugin-linked-clones": minor\n---\n\nA clone of a clone is linked as well.\n`,
  });
  const moved = [...after].filter(([, { before, now }]) => before !== now).map(([name]) => name);
  expect(moved).toEqual(["@vdc-os/plugin-linked-clones"]);
});

it("what states a version in the sources follows the manifests", async () => {
  const files = ["package.json", "pnpm-workspace.yaml", ...listFiles()];
  for (const path of new Set(files)) {
    await mkdir(dirname(join(place, path)), { recursive: true });
    await cp(join(root, path), join(place, path));
  }
  await symlink(join(root, "node_modules"), join(place, "node_modules"), "dir");
  await writeFile(
    join(place, ".changeset/core.md"),
    `---\n"@vdc-os/core": minor\n---\n\nA step of the core, for a test.\n`,
  );
  for (const args of [
    ["init", "--quiet"],
    ["add", "--all"],
  ]) {
    const { code, stderr } = await runProgram("git", args, { cwd: place });
    expect(code, stderr).toBe(0);
  }
  const { code, stderr } = await runProgram(process.execPath, ["scripts/tasks/version.mjs"], { cwd: place });
  expect(code, stderr).toBe(0);
  const inCopy = (path: string): Promise<string> => readFile(join(place, path), "utf8");
  const { version } = JSON.parse(await inCopy("packages/core/package.json")) as Versioned;
  expect(await inCopy("packages/core/src/core-version.ts")).toContain(`"${version}"`);
  expect(await inCopy("packages/create-plugin/src/package-files.ts")).toContain(`"^${version}"`);
  const minor = version.split(".").slice(0, 2).join(".");
  const plugins = listFiles().filter((path) => /^(packages|examples)\/.*\/src\/plugin\.ts$/.test(path));
  const behind = [];
  for (const path of plugins) {
    if (/^ +core: "/m.test(read(path)) && !(await inCopy(path)).includes(`core: "${minor}"`)) behind.push(path);
  }
  expect(plugins.length).toBeGreaterThan(10);
  expect(behind).toEqual([]);
});

/** What `changeset version` makes of a copy of the workspace's manifests. */
async function release(
  options: { readonly only?: string } = {},
): Promise<ReadonlyMap<string, { readonly before: string; readonly now: string }>> {
  const manifests = ["package.json", ...workspace.map(({ directory }) => `${directory}/package.json`)];
  for (const path of [...manifests, "pnpm-workspace.yaml"]) {
    await mkdir(dirname(join(place, path)), { recursive: true });
    await cp(join(root, path), join(place, path));
  }
  await mkdir(join(place, ".changeset"));
  await cp(join(root, ".changeset/config.json"), join(place, ".changeset/config.json"));
  if (options.only === undefined) await cp(join(root, ".changeset"), join(place, ".changeset"), { recursive: true });
  else await writeFile(join(place, ".changeset/only.md"), options.only);
  await symlink(join(root, "node_modules"), join(place, "node_modules"), "dir");

  const changeset = join(root, "node_modules/@changesets/cli/bin.js");
  const { code, stdout, stderr } = await runProgram(process.execPath, [changeset, "version"], { cwd: place });
  expect(code, `${stdout}${stderr}`).toBe(0);
  const versions = published.map(async ({ directory, manifest }) => {
    const { version } = JSON.parse(await readFile(join(place, directory, "package.json"), "utf8")) as Versioned;
    return [manifest.name, { before: manifest.version, now: version }] as const;
  });
  return new Map(await Promise.all(versions));
}
