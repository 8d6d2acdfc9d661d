import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import type { SearchEntry } from "../client/search-format.ts";
import type { ApiModule } from "./api-modules.ts";
import type { CodeHighlighter } from "./code-highlighter.ts";
import { type GuideGroup, type GuideSource, guideGroups } from "./guide-sources.ts";
import { escapeHtml } from "./html-tags.ts";
import type { DeadLink } from "./link-check.ts";
import { type RenderedMarkdown, renderMarkdown } from "./markdown-renderer.ts";
import type { Repository } from "./repository.ts";
import { type NavigationGroup, type PageLink, relativePath, type SitePage } from "./site-page.ts";

/** The pages made of Markdown. */
export interface GuidePages {
  readonly pages: readonly SitePage[];
  readonly navigation: readonly NavigationGroup[];
  readonly entries: readonly Omit<SearchEntry, "id">[];
  /** Links that lead to nothing in the repository; they name the source and its line. */
  readonly dead: readonly DeadLink[];
  /** Files of the repository that pages show: copied to the site under the same path. */
  readonly copied: ReadonlySet<string>;
}

/** What {@link renderGuides} needs. */
export interface RenderGuidesOptions {
  readonly repository: Repository;
  readonly highlighter: CodeHighlighter;
  /** The modules that have pages in the reference. */
  readonly modules: readonly ApiModule[];
}

/** Renders all guides; links between them become links between pages, and those to other files lead to the repository. */
export function renderGuides(sources: readonly GuideSource[], options: RenderGuidesOptions): GuidePages {
  const bySource = new Map(sources.map((guide) => [guide.source, guide] as const));
  const dead: DeadLink[] = [];
  const copied = new Set<string>();

  const resolveFrom =
    (guide: GuideSource) =>
    (target: string, line: number): string | undefined => {
      if (/^[a-z][a-z\d+.-]*:|^#/i.test(target)) return target;
      const [, file = "", rest = ""] = /^([^?#]*)(.*)$/s.exec(target) ?? [];
      const from = file.startsWith("/") ? "" : posix.dirname(guide.source);
      const path = posix.join(from, decodeURI(file)).replace(/\/$/, "").replace(/^\//, "");
      const page = bySource.get(path) ?? bySource.get(posix.join(path, "README.md"));
      if (page !== undefined) return relativePath(guide.path, page.path) + rest;
      if (path.startsWith("../") || !options.repository.has(path)) {
        dead.push({
          page: line > 0 ? `${guide.source}:${line}` : guide.source,
          target,
          reason: `there is no '${path}'`,
        });
        return undefined;
      }
      if (/\.(svg|png|jpe?g|gif|webp)$/i.test(path)) {
        copied.add(path);
        return relativePath(guide.path, path);
      }
      return options.repository.urlOf(path);
    };

  const rendered = sources.map((guide) => {
    const page = renderMarkdown(guide.text, { highlighter: options.highlighter, resolveLink: resolveFrom(guide) });
    return { guide, page, title: page.title === "" ? posix.basename(guide.source, ".md") : page.title };
  });
  const linkAt = (place: number): PageLink | undefined => {
    const neighbour = rendered[place];
    return neighbour === undefined ? undefined : { title: neighbour.title, path: neighbour.guide.path };
  };
  const pages = rendered.map(({ guide, page, title }, place): SitePage => {
    const [previous, next, sourceUrl] = [linkAt(place - 1), linkAt(place + 1), options.repository.urlOf(guide.source)];
    return {
      path: guide.path,
      title,
      description: page.description,
      trail: guide.path === "index.html" ? [] : [{ title: guide.group }],
      content: withFacts(guide, page, options),
      headings: page.headings,
      ...(previous === undefined ? {} : { previous }),
      ...(next === undefined ? {} : { next }),
      ...(sourceUrl === undefined ? {} : { sourceUrl }),
    };
  });
  const group = (name: GuideGroup): NavigationGroup => ({
    title: name,
    items: rendered
      .filter(({ guide }) => guide.group === name)
      .map(({ guide, title }) => ({
        title: guide.path === "index.html" ? "Overview" : shortTitle(title),
        path: guide.path,
      })),
  });
  const navigation = guideGroups.map(group).filter(({ items }) => items.length > 0);
  const entries = rendered.flatMap(({ guide, page, title }) => entriesOf(guide, page, title));
  return { pages, navigation, entries, dead, copied };
}

/** A package is known by its last word where all are packages. */
function shortTitle(title: string): string {
  return title.replace(/^@vdc-os\/(plugin-)?(?=\S+$)/, "");
}

function entriesOf(guide: GuideSource, page: RenderedMarkdown, title: string): readonly Omit<SearchEntry, "id">[] {
  return page.sections.map((section) => ({
    title: section.id === undefined ? title : section.title,
    context: section.id === undefined ? guide.group : title,
    text: section.text,
    url: section.id === undefined ? guide.path : `${guide.path}#${encodeURIComponent(section.id)}`,
    kind: section.id === undefined ? "page" : "section",
  }));
}

/** Below a package's name: how it is installed, and where its API is. */
function withFacts(guide: GuideSource, page: RenderedMarkdown, { modules, repository }: RenderGuidesOptions): string {
  const folder = guide.source.endsWith("/README.md") ? posix.dirname(guide.source) : undefined;
  const own = modules.filter((module) => module.folder === folder);
  const [first] = own;
  if (first === undefined) return page.html;
  const manifest = JSON.parse(readFileSync(join(repository.root, first.folder, "package.json"), "utf8"));
  const links = own.map(({ specifier }) => {
    return `<a href="${escapeHtml(relativePath(guide.path, apiPath(specifier)))}"><code>${escapeHtml(specifier)}</code></a>`;
  });
  const facts =
    `<div class="facts"><span><strong>Version</strong> ${escapeHtml(String(manifest.version))}</span>` +
    `<span><strong>Install</strong> <code>npm install ${escapeHtml(first.package)}</code></span>` +
    `<span><strong>API</strong> ${links.join(" ")}</span></div>`;
  return page.html.replace(/<\/h1>\n?/, (end) => `${end}${facts}`);
}

/** Where the page of a module is. */
export function apiPath(specifier: string): string {
  return `api/${specifier.replace(/^@[^/]+\//, "")}/index.html`;
}
