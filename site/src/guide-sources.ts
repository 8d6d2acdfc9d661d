import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

/** A Markdown file that becomes a page. */
export interface GuideSource {
  /** Its path in the repository. */
  readonly source: string;
  /** Its path on the site. */
  readonly path: string;
  readonly group: GuideGroup;
  readonly text: string;
}

/** The groups of the navigation, in their order. */
export const guideGroups = [
  "Start here",
  "Write a plugin",
  "Run and test",
  "Reference",
  "Packages",
  "Formats and protocols",
  "Plugins",
  "Examples",
] as const;

/** A group of the navigation. */
export type GuideGroup = (typeof guideGroups)[number];

/** Where a page stands: the first rule that matches its path decides its group, and its order within that. */
const places: readonly (readonly [RegExp, GuideGroup])[] = [
  [/^README\.md$/, "Start here"],
  [/^docs\/.*first-plugin/, "Start here"],
  [/^docs\/consume-the-sdk/, "Start here"],
  [/^docs\/architecture/, "Start here"],
  [/^docs\/write-a-storage/, "Write a plugin"],
  [/^docs\/write-a-distributed/, "Write a plugin"],
  [/^docs\/write-/, "Write a plugin"],
  [/^docs\/(.*\/)?[^/]*(certif|extension-point|provider|plugin)/, "Write a plugin"],
  [/^docs\/wire-protocol/, "Write a plugin"],
  [/^docs\/test-with/, "Run and test"],
  [/^docs\/errors/, "Reference"],
  [/^docs\/compatibility/, "Reference"],
  [/^docs\//, "Run and test"],
  [/^[^/]+\.md$/, "Reference"],
  [/^packages\/core\//, "Packages"],
  [/^packages\/sdk\//, "Packages"],
  [/^packages\/(host|ready|create-plugin)\//, "Packages"],
  [/^packages\/(formats|protocols)\//, "Formats and protocols"],
  [/^packages\/plugins\//, "Plugins"],
  [/^packages\//, "Packages"],
  [/^examples\/first-script\//, "Examples"],
  [/^examples\//, "Examples"],
];

const leftOut = new Set(["node_modules", "dist", "templates", "fixtures", "api"]);

/**
 * The pages of a repository: its own Markdown, the guides in `docs`, and whatever describes a package or an example.
 * They come in the order of the navigation.
 */
export function readGuides(root: string): readonly GuideSource[] {
  const files = [
    ...readdirSync(root).filter((name) => name.endsWith(".md")),
    ...["docs", "packages", "examples"].flatMap((folder) => findMarkdown(root, folder)),
  ].filter((file) => !/(^|\/)(CHANGELOG|AGENTS|CLAUDE)\.md$/.test(file));
  return files
    .map((source) => ({ source, place: placeOf(source) }))
    .sort(
      (a, b) =>
        a.place.order - b.place.order ||
        (sitePath(a.source).replaceAll(".html", "") < sitePath(b.source).replaceAll(".html", "") ? -1 : 1),
    )
    .map(({ source, place }) => {
      return { source, path: sitePath(source), group: place.group, text: readFileSync(join(root, source), "utf8") };
    });
}

/** Where the page of a Markdown file is on the site: a README stands for its folder. */
export function sitePath(source: string): string {
  const [folder, name] = [posix.dirname(source), posix.basename(source, ".md")];
  if (folder === "docs" || folder.startsWith("docs/")) return posix.join("guides", folder.slice(5), `${name}.html`);
  if (folder === ".") return name === "README" ? "index.html" : `${name.toLowerCase()}.html`;
  return name === "README" ? `${folder}.html` : posix.join(folder, `${name}.html`);
}

function placeOf(source: string): { readonly group: GuideGroup; readonly order: number } {
  const rule = places.findIndex(([pattern]) => pattern.test(source));
  const group = places[rule]?.[1] ?? "Reference";
  return { group, order: guideGroups.indexOf(group) * places.length + rule };
}

function findMarkdown(root: string, folder: string): readonly string[] {
  let entries: readonly Dirent[];
  try {
    entries = readEntries(join(root, folder));
  } catch {
    return []; // a folder that this repository does not have
  }
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return leftOut.has(entry.name) && path !== "packages/api" ? [] : findMarkdown(root, path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

function readEntries(path: string): readonly Dirent[] {
  return readdirSync(path, { withFileTypes: true });
}
