import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { findProcesses, killProcess } from "../datacenter/owned-processes.ts";
import { LoopbackRegistry } from "../packages/loopback-registry.ts";
import { type ProgramResult, runProgram } from "../packages/run-program.ts";
import { applyChange } from "./apply-change.ts";
import type { CodeBlock, MarkdownPage } from "./markdown-page.ts";
import { placeOf } from "./pages.ts";

/**
 * Walks a page as a stranger does: runs what it says in an empty folder, on packed packages that npm gets from a registry. In the order of the page:
 *
 * - `sh walk` is run, and must succeed; `sh walk fails` must fail. The folder that it leaves is the next one's.
 * - `walk output` after it: each of its lines was printed. Three dots stand for anything in a line.
 * - `diff change=<file>` is applied to a file, and `ts new=<file>` is written into one, and compiled strictly.
 *
 * Whoever did all that must be left with no process of it. Returns how many steps that were.
 */
export async function walkPage({ blocks }: MarkdownPage): Promise<number> {
  const place = await mkdtemp(join(tmpdir(), "vdc-walk-"));
  try {
    await using registry = await LoopbackRegistry.serve();
    const shell = new WalkersShell(place, await writeNpmConfig(place, registry.url));
    await mkdir(shell.folder);
    const steps = blocks.filter(({ words }) => words.some((word) => /^(walk|change=.*|new=.*)$/.test(word)));
    for (const block of steps) await takeStep(shell, block);
    expect((await findProcesses(place)).map(({ command }) => command)).toEqual([]);
    return steps.length;
  } finally {
    for (const { pid } of await findProcesses(place)) killProcess(pid);
    await rm(place, { recursive: true, force: true });
  }
}

async function takeStep(shell: WalkersShell, block: CodeBlock): Promise<void> {
  const { words, text } = block;
  const change = wordOf(words, "change");
  const file = wordOf(words, "new");
  if (change !== undefined) {
    const path = join(shell.folder, change);
    await writeFile(path, applyChange(await readFile(path, "utf8"), text));
  } else if (file !== undefined) {
    await writeFile(join(shell.folder, file), `${text}\n`);
    expect(await compile(shell.folder, file), placeOf(block)).toBe("");
  } else if (words.includes("output")) {
    for (const line of text.split("\n")) expect(shell.said, placeOf(block)).toMatch(withDots(line.trim()));
  } else {
    const code = await shell.run(text);
    const failed = words.includes("fails");
    if ((code !== 0) !== failed) expect.fail(`${placeOf(block)} ended with ${code}:\n${shell.said}`);
  }
}

/** Where a walker types. */
class WalkersShell {
  folder: string;
  /** What was printed last. */
  said = "";
  readonly #place: string;
  readonly #environment: readonly string[];

  constructor(place: string, environment: readonly string[]) {
    this.folder = join(place, "walk");
    this.#place = place;
    this.#environment = environment;
  }

  /** Runs lines until one fails. Returns how it ended. */
  async run(lines: string): Promise<number | undefined> {
    const left = join(this.#place, "folder");
    const script = `set -e\n${lines}\npwd > ${left}\n`;
    const args = [...this.#environment, "sh", "-c", script];
    const { code, stdout, stderr }: ProgramResult = await runProgram("env", args, { cwd: this.folder });
    this.said = `${stdout}${stderr}`;
    if (code === 0) this.folder = (await readFile(left, "utf8")).trim();
    return code;
  }
}

/** Options of `env` with which npm takes our packages from the registry, and the others where it always does. */
async function writeNpmConfig(place: string, registry: string): Promise<readonly string[]> {
  const settingOf = async (name: string): Promise<string> =>
    (await runProgram("npm", ["config", "get", name], { cwd: place })).stdout.trim();
  // What was downloaded before is shared; what `npm create` and `npx` have installed before is not: it may be older packages of the same version.
  const [shared, cache] = [join(await settingOf("cache"), "_cacache"), join(place, "npm")];
  await mkdir(cache);
  await mkdir(shared, { recursive: true });
  await symlink(shared, join(cache, "_cacache"), "dir");
  const own = await readFile(await settingOf("userconfig"), "utf8").catch(() => "");
  const settings = ["prefer-offline=true", "fund=false", "audit=false", "update-notifier=false", `cache=${cache}`];
  await writeFile(join(place, "npmrc"), [own, `@vdc-os:registry=${registry}`, ...settings, ""].join("\n"));
  // An npm that runs the tests tells its own settings to whatever it starts.
  const outer = Object.keys(process.env).filter((name) =>
    /^npm_config_(local_prefix|prefix|userconfig|cache)$/i.test(name),
  );
  // The pinned Node.js first, so that packages run on what they are tested on.
  const path = `PATH=${dirname(process.execPath)}:${process.env.PATH}`;
  return [...outer.flatMap((name) => ["-u", name]), path, `NPM_CONFIG_USERCONFIG=${join(place, "npmrc")}`];
}

/** Compiles a file strictly, and returns what is wrong with it. */
async function compile(folder: string, file: string): Promise<string> {
  const types = ["--types", "node", "--typeRoots", join(root, "node_modules/@types")];
  const options = ["--noEmit", "--strict", "--target", "es2023", "--module", "nodenext", ...types];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { code, stdout, stderr } = await runProgram(process.execPath, [tsc, ...options, file], { cwd: folder });
  return code === 0 ? "" : `${stdout}${stderr}`;
}

function withDots(line: string): RegExp {
  const parts = line.split("...").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(parts.join(".*"));
}

/** The value of a word such as `change=src/facets.ts`. */
function wordOf(words: readonly string[], name: string): string | undefined {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
}
