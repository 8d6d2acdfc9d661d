import type { SearchEntry } from "../client/search-format.ts";
import { adoptContent, headingsOf } from "./api-content.ts";
import type { ApiModule } from "./api-modules.ts";
import type { ApiPage, ApiReference } from "./api-reference.ts";
import { apiPath } from "./guide-pages.ts";
import type { GuideSource } from "./guide-sources.ts";
import { escapeHtml } from "./html-tags.ts";
import type { Repository } from "./repository.ts";
import { type NavigationGroup, relativePath, type SitePage } from "./site-page.ts";

/** A page of the reference, and what the navigation shows on it. */
export interface LaidOutApiPage {
  readonly page: SitePage;
  /** The modules that it lists: on the page of a symbol, of which there are many, those of its own package alone. */
  readonly modules: readonly ApiModule[];
  readonly inside: { readonly under: string; readonly groups: readonly NavigationGroup[] };
}

/** What {@link renderApi} needs. */
export interface RenderApiOptions {
  readonly modules: readonly ApiModule[];
  readonly guides: readonly GuideSource[];
  readonly repository: Repository;
}

/** The path of the page that lists all modules. */
export const apiIndexPath = "api/index.html";

/** Makes pages of the site from what typedoc wrote. */
export function renderApi(api: ApiReference, options: RenderApiOptions): readonly LaidOutApiPage[] {
  const groups = new Map(options.modules.map(({ specifier }) => [specifier, groupsOf(api, specifier)] as const));
  const styles = ["assets/api.css", "assets/api-code.css"];
  return api.pages.map((page): LaidOutApiPage => {
    const modulePath = apiPath(page.module);
    const module = options.modules.find(({ specifier }) => specifier === page.module);
    const heading = `<h1><small class="kind-word">${escapeHtml(page.kind)}</small>${escapeHtml(page.name)}</h1>`;
    const body = adoptContent(page.html, (path, line) => {
      const url = options.repository.urlOf(path);
      return url === undefined ? undefined : `${url}#L${line}`;
    });
    const content = heading + body;
    const isModule = page.kind === "module";
    const trail = [
      { title: "API reference", path: apiIndexPath },
      ...(isModule ? [] : [{ title: page.module, path: modulePath }]),
    ];
    return {
      page: {
        path: `api/${page.url}`,
        title: page.name,
        titleContext: isModule ? "API" : page.module,
        description: page.summary || `${page.kind} ${page.name} of ${page.module}`,
        trail,
        content:
          isModule && module !== undefined ? withPackage(content, `api/${page.url}`, module, options.guides) : content,
        headings: headingsOf(content),
        styles,
      },
      modules: isModule ? options.modules : options.modules.filter((each) => each.package === module?.package),
      inside: { under: modulePath, groups: groups.get(page.module) ?? [] },
    };
  });
}

/** A module's page says which package it is of, and where that is described. */
function withPackage(content: string, path: string, module: ApiModule, guides: readonly GuideSource[]): string {
  const guide = guides.find(({ source }) => source === `${module.folder}/README.md`);
  const name = `<code>${escapeHtml(module.package)}</code>`;
  const link = guide === undefined ? name : `<a href="${relativePath(path, guide.path)}">${name}</a>`;
  const importLine = `<code>import … from "${escapeHtml(module.specifier)}"</code>`;
  const facts = `<div class="facts"><span><strong>Package</strong> ${link}</span><span>${importLine}</span></div>`;
  return content.replace(/<\/h1>/, (end) => `${end}${facts}`);
}

const kindGroups: readonly (readonly [string, readonly string[]])[] = [
  ["Functions", ["function"]],
  ["Classes", ["class"]],
  ["Interfaces", ["interface"]],
  ["Types", ["type alias"]],
  ["Values", ["variable", "enumeration", "namespace"]],
];

function groupsOf(api: ApiReference, module: string): readonly NavigationGroup[] {
  const pages = api.pages.filter((page) => page.module === module && page.kind !== "module");
  return kindGroups
    .map(([title, kinds]) => ({
      title,
      items: pages
        .filter(({ kind }) => kinds.includes(kind))
        .sort(byName)
        .map(itemOf),
    }))
    .filter(({ items }) => items.length > 0);
}

function byName(a: ApiPage, b: ApiPage): number {
  return a.name < b.name ? -1 : 1;
}

function itemOf({ name, url }: ApiPage): NavigationGroup["items"][number] {
  return { title: name, path: `api/${url}` };
}

/** The entry to the reference: every package with its modules. */
export function renderApiIndex({ modules, guides }: RenderApiOptions): SitePage {
  const packages = [...new Set(modules.map((module) => module.package))];
  const rows = packages.map((name) => {
    const own = modules.filter((module) => module.package === name);
    const guide = guides.find(({ source }) => source === `${own[0]?.folder}/README.md`);
    const links = own.map(({ specifier }) => {
      return `<a href="${relativePath(apiIndexPath, apiPath(specifier))}"><code>${escapeHtml(specifier)}</code></a>`;
    });
    const about =
      guide === undefined ? "" : ` <a href="${relativePath(apiIndexPath, guide.path)}">About the package</a>`;
    return `<tr><td>${links.join("<br>")}</td><td>${escapeHtml(own[0]?.packageDescription ?? "")}${about}</td></tr>`;
  });
  return {
    path: apiIndexPath,
    title: "API reference",
    description: "Every module that a program can import, with all its names.",
    trail: [],
    content:
      "<h1>API reference</h1><p>Every module that a program can import. What a package is for, and how it is used, stands on its own page.</p>" +
      `<div class="table" tabindex="0" role="region" aria-label="Table"><table><thead><tr><th>Import</th><th>Package</th></tr></thead><tbody>${rows.join("")}</tbody></table></div>`,
    headings: [],
    styles: ["assets/api.css"],
  };
}

/** The modules' group of the navigation. */
export function apiNavigation(modules: readonly ApiModule[]): NavigationGroup {
  const items = modules.map(({ specifier }) => ({
    title: specifier.replace(/^@[^/]+\//, ""),
    path: apiPath(specifier),
  }));
  return { title: "API reference", items: [{ title: "All modules", path: apiIndexPath }, ...items] };
}

/** What the search finds of the reference. */
export function apiEntries(api: ApiReference, modules: readonly ApiModule[]): readonly Omit<SearchEntry, "id">[] {
  return [
    ...modules.map(({ specifier, packageDescription }) => {
      return {
        title: specifier,
        context: "API reference",
        text: packageDescription,
        url: apiPath(specifier),
        kind: "module",
      };
    }),
    ...api.symbols.map(({ name, kind, module, url, summary }) => {
      return { title: name, context: module, text: summary, url: `api/${url}`, kind };
    }),
  ];
}
