import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { packedPackages } from "../packages/packed-packages.ts";
import { runProgram } from "../packages/run-program.ts";
import { applyChange } from "./apply-change.ts";
import { LocalRegistry } from "./local-registry.ts";
import { pageAt, placeOf } from "./pages.ts";

const page = pageAt("docs/your-first-plugin.md");

test("a change is applied where it belongs, or not at all", () => {
  expect(applyChange("a\nb\nc\n", " a\n-b\n+B\n+D")).toBe("a\nB\nD\nc\n");
  expect(() => applyChange("a\nb\na\nb\n", "-b\n+c")).toThrow("2 times");
  expect(() => applyChange("ab\n", "-b\n+c")).toThrow("0 times");
});

/** Compiles a file of the walk's, strictly, and returns what is wrong with it. */
async function compile(folder: string, file: string): Promise<string> {
  const types = ["--types", "node", "--typeRoots", join(root, "node_modules/@types")];
  const options = ["--noEmit", "--strict", "--target", "es2023", "--module", "nodenext", ...types];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { code, stdout, stderr } = await runProgram(process.execPath, [tsc, ...options, file], { cwd: folder });
  return code === 0 ? "" : `${stdout}${stderr}`;
}

/** The value of a word such as `change=src/facets.ts`. */
function wordOf(words: readonly string[], name: string): string | undefined {
  return words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
}

test("docs/your-first-plugin.md is walked, from packed packages in an empty folder", { timeout: 300_000 }, async () => {
  const place = await mkdtemp(join(tmpdir(), "vdc-walk-"));
  try {
    await using registry = await LocalRegistry.open(await packedPackages());
    const userConfig = join(place, "npmrc");
    const settings = ["prefer-offline=true", "fund=false", "audit=false", "update-notifier=false"];
    await writeFile(userConfig, `${[`@vdc-os:registry=${registry.url}`, ...settings].join("\n")}\n`);
    let folder = join(place, "walk");
    await mkdir(folder);
    let said = "";
    let steps = 0;
    for (const block of page.blocks) {
      const { words, text, language } = block;
      const change = wordOf(words, "change");
      const file = wordOf(words, "new");
      if (change !== undefined) {
        const path = join(folder, change);
        await writeFile(path, applyChange(await readFile(path, "utf8"), text));
      } else if (file !== undefined) {
        await writeFile(join(folder, file), `${text}\n`);
        expect(await compile(folder, file), placeOf(block)).toBe("");
      } else if (!words.includes("walk")) {
        continue;
      } else if (words.includes("output")) {
        for (const line of text.split("\n")) expect(said, placeOf(block)).toContain(line.trim());
      } else {
        expect(language).toBe("sh");
        const script = `set -e\n${text}\npwd > ${join(place, "folder")}\n`;
        // The pinned Node.js first, so that the packages run on what they are tested on.
        const path = `PATH=${dirname(process.execPath)}:${process.env.PATH}`;
        const args = [path, `NPM_CONFIG_USERCONFIG=${userConfig}`, "sh", "-c", script];
        const { code, stdout, stderr } = await runProgram("env", args, { cwd: folder });
        said = `${stdout}${stderr}`;
        expect({ place: placeOf(block), failed: code !== 0, said: code === 0 ? "" : said }).toEqual({
          place: placeOf(block),
          failed: words.includes("fails"),
          said: words.includes("fails") ? said : "",
        });
        if (code === 0) folder = (await readFile(join(place, "folder"), "utf8")).trim();
      }
      steps += 1;
    }
    expect(steps).toBeGreaterThan(20);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
});
