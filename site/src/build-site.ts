import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { SearchEntry } from "../client/search-format.ts";
import { type ApiModule, findApiModules } from "./api-modules.ts";
import { apiEntries, apiNavigation, renderApi, renderApiIndex } from "./api-pages.ts";
import { readApi } from "./api-reference.ts";
import { createCodeHighlighter } from "./code-highlighter.ts";
import { renderGuides } from "./guide-pages.ts";
import { readGuides } from "./guide-sources.ts";
import { checkLinks, type DeadLink } from "./link-check.ts";
import { languagesOf } from "./markdown-renderer.ts";
import { layOutPage, type LayoutOptions } from "./page-layout.ts";
import { openRepository } from "./repository.ts";
import { searchIndexScript } from "./search-index.ts";
import type { SitePage } from "./site-page.ts";

/** Options of {@link buildSite}. */
export interface BuildSiteOptions {
  /** The root of the repository. */
  readonly root: string;
  /** The folder that the site is written to. What it held before is removed. */
  readonly out: string;
  /** Whether the API reference is made; it takes most of the time. Defaults to `true`. */
  readonly api?: boolean;
  readonly onProgress?: (message: string) => void;
}

/** What {@link buildSite} made. */
export interface SiteReport {
  readonly out: string;
  readonly pages: number;
  /** Pages made of Markdown. */
  readonly guides: number;
  readonly modules: number;
  /** Entries of the search index. */
  readonly searchable: number;
  readonly links: number;
  readonly externalLinks: number;
  readonly dead: readonly DeadLink[];
  readonly seconds: number;
}

const siteFolder = fileURLToPath(new URL("..", import.meta.url));

/** Makes the whole site. It is written even when links are dead: the report names them, and the caller decides. */
export async function buildSite({
  root,
  out,
  api = true,
  onProgress = () => {},
}: BuildSiteOptions): Promise<SiteReport> {
  const startedAt = performance.now();
  const repository = openRepository(root);
  const guides = readGuides(root);
  const modules = api ? findApiModules(root) : [];
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, "assets"), { recursive: true });

  const highlighter = await createCodeHighlighter(guides.flatMap(({ text }) => languagesOf(text)));
  const rendered = renderGuides(guides, { repository, highlighter, modules });
  highlighter.dispose();
  onProgress(`${rendered.pages.length} guides`);

  const common: LayoutOptions = {
    siteName: "VDC-OS",
    navigation: [...rendered.navigation, ...(api ? [apiNavigation(modules)] : [])],
  };
  const html = new Map(rendered.pages.map((page) => [page.path, layOutPage(page, common)] as const));
  const dead: DeadLink[] = [...rendered.dead];
  const entries: Omit<SearchEntry, "id">[] = [...rendered.entries];
  if (api) {
    onProgress(`reading ${modules.length} modules …`);
    const { pages, css, deadLinks, found } = await renderReference(root, modules, { modules, guides, repository });
    const [start] = rendered.navigation;
    for (const { page, inside, modules: listed } of pages) {
      // The page of a symbol leads to the beginning of the guides: all of them, on each of some 1500 pages, would be half of the site.
      const groups = listed.length === modules.length ? rendered.navigation : start === undefined ? [] : [start];
      html.set(page.path, layOutPage(page, { ...common, navigation: [...groups, apiNavigation(listed)], inside }));
    }
    const index: SitePage = renderApiIndex({ modules, guides, repository });
    html.set(index.path, layOutPage(index, common));
    writeFileSync(join(out, "assets/api-code.css"), css);
    dead.push(...deadLinks);
    entries.push(...found);
    onProgress(`${pages.length} pages of the API`);
  }

  for (const [path, content] of html) {
    mkdirSync(dirname(join(out, path)), { recursive: true });
    writeFileSync(join(out, path), content);
  }
  for (const path of rendered.copied) cpSync(join(root, path), join(out, path));
  const assets = await writeAssets(out, entries);
  onProgress(`${entries.length} entries of the search, ${Math.round(assets.indexBytes / 1024)} KiB`);

  const files = new Set([...assets.files, ...(api ? ["assets/api-code.css"] : []), ...rendered.copied]);
  const { filesUrl } = repository;
  const links = checkLinks({
    pages: html,
    files,
    ...(filesUrl === undefined ? {} : { repository: { url: filesUrl, has: repository.has } }),
  });
  return {
    out,
    pages: html.size,
    guides: rendered.pages.length,
    modules: modules.length,
    searchable: entries.length,
    links: links.checked,
    externalLinks: links.external,
    dead: [...dead, ...links.dead],
    seconds: (performance.now() - startedAt) / 1000,
  };
}

async function renderReference(
  root: string,
  modules: readonly ApiModule[],
  options: Parameters<typeof renderApi>[1],
): Promise<{
  readonly pages: ReturnType<typeof renderApi>;
  readonly css: string;
  readonly deadLinks: readonly DeadLink[];
  readonly found: ReturnType<typeof apiEntries>;
}> {
  const api = await readApi(root, modules);
  // typedoc has its own way to choose between light and dark; the site's is the scheme that holds for the element.
  const colours = [...api.css.matchAll(/--light-(hl-\d+|code-background): [^;]+;/g)].map(([, name]) => name as string);
  const declarations = [...api.css.matchAll(/--(?:light|dark)-[^;]+;/g)]
    .map(([text]) => text)
    .filter((text) => text.includes(": "));
  const css = [
    `:root{${declarations.filter((text) => !text.includes("var(")).join("")}`,
    ...colours.map((name) => `--${name}:light-dark(var(--light-${name}),var(--dark-${name}));`),
    "}",
    ...colours.filter((name) => name.startsWith("hl-")).map((name) => `.${name}{color:var(--${name})}`),
  ].join("\n");
  const deadLinks = api.deadLinks.map((reason) => ({ page: "API", target: /"(.*?)"/.exec(reason)?.[1] ?? "", reason }));
  return { pages: renderApi(api, options), css, deadLinks, found: apiEntries(api, modules) };
}

async function writeAssets(
  out: string,
  entries: readonly Omit<SearchEntry, "id">[],
): Promise<{ readonly files: readonly string[]; readonly indexBytes: number }> {
  const assets = join(out, "assets");
  for (const name of ["site.css", "api.css", "icon.svg"]) cpSync(join(siteFolder, "styles", name), join(assets, name));
  // One classic script: browsers refuse modules that come from a disk.
  await build({
    entryPoints: [join(siteFolder, "client/site.ts")],
    outfile: join(assets, "site.js"),
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2023",
    tsconfigRaw: {},
    logLevel: "error",
  });
  const index = searchIndexScript(entries);
  writeFileSync(join(assets, "search-index.js"), index);
  const files = ["site.css", "api.css", "icon.svg", "site.js", "search-index.js"].map((name) => `assets/${name}`);
  return { files, indexBytes: readFileSync(join(assets, "search-index.js")).length };
}
