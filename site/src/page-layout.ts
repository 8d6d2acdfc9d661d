import { escapeHtml } from "./html-tags.ts";
import { type NavigationGroup, type NavigationItem, type PageLink, relativePath, type SitePage } from "./site-page.ts";

/** What all pages have in common. */
export interface LayoutOptions {
  readonly siteName: string;
  readonly navigation: readonly NavigationGroup[];
  /** What the navigation shows besides on this page, under the entry with the path `under`. */
  readonly inside?: { readonly under: string; readonly groups: readonly NavigationGroup[] };
}

// Runs before anything is painted: the reader's choice of light or dark must not flash.
const themeScript =
  `try{const t=localStorage.getItem("vdc-theme");if(t==="light"||t==="dark")document.documentElement.dataset.theme=t}catch{}` +
  `document.documentElement.classList.add("js")`;

/** A whole HTML page. All its addresses are relative, so the site works in any folder of any server, and from a disk. */
export function layOutPage(page: SitePage, options: LayoutOptions): string {
  const to = (path: string): string => escapeHtml(relativePath(page.path, path));
  const title = [page.title, page.titleContext, options.siteName].filter((part) => part !== undefined);
  const styles = ["assets/site.css", ...(page.styles ?? [])];
  return `<!doctype html>
<html lang="en" data-base="${"../".repeat(page.path.split("/").length - 1)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml([...new Set(title)].join(" · "))}</title>
<meta name="description" content="${escapeHtml(page.description)}">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="${to("assets/icon.svg")}" type="image/svg+xml">
${styles.map((style) => `<link rel="stylesheet" href="${to(style)}">`).join("\n")}
<script>${themeScript}</script>
<script defer src="${to("assets/site.js")}"></script>
</head>
<body>
<a class="skip" href="#site-content">Skip to the content</a>
${header(options, to)}
<div class="frame">
${navigationOf(page, options, to)}
<main id="site-content" tabindex="-1">
${trailOf(page, to)}
${contentsOf(page, "inline")}
<article>
${page.content}
</article>
${footerOf(page, to)}
</main>
${contentsOf(page, "aside")}
</div>
${searchDialog}
</body>
</html>
`;
}

function header(options: LayoutOptions, to: (path: string) => string): string {
  return `<header class="top">
<button class="icon menu" type="button" aria-expanded="false" aria-controls="site-navigation" aria-label="Navigation">${icons.menu}</button>
<a class="brand" href="${to("index.html")}"><img src="${to("assets/icon.svg")}" alt="" width="24" height="24">${escapeHtml(options.siteName)}</a>
<button class="search" type="button" aria-haspopup="dialog" aria-keyshortcuts="/">${icons.search}<span>Search</span><kbd>/</kbd></button>
<button class="icon theme" type="button" aria-label="Colours: as the system">${icons.theme}</button>
</header>`;
}

const searchDialog = `<dialog class="finder" aria-label="Search">
<form method="dialog">
<input type="search" role="combobox" aria-expanded="false" aria-controls="finder-results" aria-autocomplete="list" aria-label="Search guides and API" placeholder="Search guides and API" autocomplete="off" autocapitalize="off" spellcheck="false" enterkeyhint="go" maxlength="100">
<button class="icon" type="submit" value="close" aria-label="Close the search">Esc</button>
</form>
<p class="status" role="status"></p>
<ul id="finder-results" role="listbox" aria-label="Results"></ul>
</dialog>`;

function navigationOf(page: SitePage, options: LayoutOptions, to: (path: string) => string): string {
  const item = ({ title, path }: NavigationItem): string => {
    const here = path === page.path ? ' aria-current="page"' : "";
    const link = `<a href="${to(path)}"${here}>${escapeHtml(title)}</a>`;
    const inside =
      options.inside?.under === path ? options.inside.groups.map((each) => group(each, true)).join("") : "";
    return `<li>${link}${inside}</li>`;
  };
  const group = ({ title, items }: NavigationGroup, open: boolean): string =>
    `<details${open ? " open" : ""}><summary>${escapeHtml(title)}</summary><ul>${items.map(item).join("")}</ul></details>`;
  const isOpen = ({ title, items }: NavigationGroup): boolean =>
    alwaysOpen.has(title) || items.some(({ path }) => path === page.path || path === options.inside?.under);
  const groups = options.navigation.map((each) => group(each, isOpen(each)));
  return `<nav id="site-navigation" class="pages" aria-label="Pages">${groups.join("\n")}</nav>`;
}

const alwaysOpen: ReadonlySet<string> = new Set(["Start here", "Write a plugin", "Run and test", "Reference"]);

function trailOf(page: SitePage, to: (path: string) => string): string {
  if (page.trail.length === 0) return "";
  const entries = page.trail.map(({ title, path }) =>
    path === undefined ? escapeHtml(title) : `<a href="${to(path)}">${escapeHtml(title)}</a>`,
  );
  return `<nav class="trail" aria-label="Breadcrumb"><ol>${entries.map((entry) => `<li>${entry}</li>`).join("")}</ol></nav>`;
}

function contentsOf(page: SitePage, place: "inline" | "aside"): string {
  if (page.headings.length < 2) return place === "aside" ? '<div class="contents aside"></div>' : "";
  const entries = page.headings.map(
    ({ level, id, text }) =>
      `<li class="level-${level}"><a href="#${encodeURIComponent(id)}">${escapeHtml(text)}</a></li>`,
  );
  const list = `<ul>${entries.join("")}</ul>`;
  return place === "aside"
    ? `<nav class="contents aside" aria-label="On this page"><strong>On this page</strong>${list}</nav>`
    : `<details class="contents inline"><summary>On this page</summary>${list}</details>`;
}

function footerOf(page: SitePage, to: (path: string) => string): string {
  const turn = (link: PageLink | undefined, rel: "prev" | "next", label: string): string =>
    link?.path === undefined
      ? ""
      : `<a rel="${rel}" href="${to(link.path)}"><small>${label}</small><span>${escapeHtml(link.title)}</span></a>`;
  const turns = turn(page.previous, "prev", "Previous") + turn(page.next, "next", "Next");
  const source =
    page.sourceUrl === undefined ? "" : `<p><a href="${escapeHtml(page.sourceUrl)}">The source of this page</a></p>`;
  if (turns === "" && source === "") return "";
  return `<footer class="page">${turns === "" ? "" : `<nav class="turn" aria-label="Previous and next page">${turns}</nav>`}${source}</footer>`;
}

const svg = (path: string): string =>
  `<svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" aria-hidden="true">${path}</svg>`;

const icons = {
  menu: svg('<path d="M4 6h16M4 12h16M4 18h16"/>'),
  search: svg('<circle cx="11" cy="11" r="6"/><path d="m20 20-4.5-4.5"/>'),
  theme: svg('<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>'),
} as const;
