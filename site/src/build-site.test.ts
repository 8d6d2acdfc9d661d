import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { buildSite, type SiteReport } from "./build-site.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "vdc-site-"));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Makes a site of the files given, without an API reference. */
function siteOf(files: Readonly<Record<string, string>>): Promise<SiteReport> {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return buildSite({ root, out: join(root, "site/dist"), api: false });
}

const read = (path: string): string => readFileSync(join(root, "site/dist", path), "utf8");
const manifest = JSON.stringify({ repository: { url: "git+https://example.org/vdc.git" } });

test("links between pages, to folders, files and pictures lead where they should", async () => {
  const report = await siteOf({
    "package.json": manifest,
    "README.md": "# A\n\n[guide](docs/b.md#part) [package](packages/c) [file](packages/c/src/x.ts)\n\n![p](docs/p.svg)",
    "docs/b.md": "# B\n\n## Part\n\n[home](../README.md) [licence](../LICENSE)",
    "docs/p.svg": "<svg/>",
    "packages/c/README.md": "# C\n\n[up](../../README.md)",
    "packages/c/src/x.ts": "",
    LICENSE: "",
  });
  expect(report.dead).toEqual([]);
  const home = read("index.html");
  expect(home).toContain('href="guides/b.html#part"');
  expect(home).toContain('href="packages/c.html"');
  expect(home).toContain('href="https://example.org/vdc/blob/main/packages/c/src/x.ts"');
  expect(home).toContain('src="docs/p.svg"');
  expect(existsSync(join(root, "site/dist/docs/p.svg"))).toBe(true);
  expect(read("guides/b.html")).toContain('href="https://example.org/vdc/blob/main/LICENSE"');
});

test("a dead link is named with its source and line, a dead anchor with its page", async () => {
  const report = await siteOf({
    "package.json": manifest,
    "README.md":
      "# A\n\ntext\n\n[gone](docs/gone.md)\n\n[out](../../etc/passwd) [anchor](#nowhere) [there](docs/b.md#nowhere)",
    "docs/b.md": "# B\n",
  });
  expect(report.dead.map(({ page, target }) => `${page} ${target}`)).toEqual([
    "README.md:5 docs/gone.md",
    "README.md:7 ../../etc/passwd",
    "index.html #nowhere",
    "index.html guides/b.html#nowhere",
  ]);
});

test("what was there before is gone, and pages name their neighbours", async () => {
  await siteOf({ "README.md": "# A\n", "docs/old.md": "# Old\n" });
  rmSync(join(root, "docs/old.md"));
  await siteOf({ "docs/errors.md": "# Errors\n" });
  expect(existsSync(join(root, "site/dist/guides/old.html"))).toBe(false);
  expect(read("index.html")).toMatch(/<a rel="next" href="guides\/errors\.html">.*Errors/);
  expect(read("guides/errors.html")).toMatch(/<a rel="prev" href="\.\.\/index\.html">/);
});
