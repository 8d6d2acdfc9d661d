import { posix } from "node:path";
import { htmlTags } from "./html-tags.ts";

/** A link of a page that leads nowhere. */
export interface DeadLink {
  /** Path of the page, from the site's root. */
  readonly page: string;
  readonly target: string;
  readonly reason: string;
}

/** What a check of all links found. */
export interface LinkReport {
  /** Links and references to scripts, styles and images that were looked up within the site or the repository. */
  readonly checked: number;
  /** Links to other sites. They are not visited. */
  readonly external: number;
  readonly dead: readonly DeadLink[];
}

/** What {@link checkLinks} checks. */
export interface CheckLinksOptions {
  /** The HTML pages, by their path from the site's root (`guides/errors.html`). */
  readonly pages: ReadonlyMap<string, string>;
  /** Paths of the files that are no pages. */
  readonly files: ReadonlySet<string>;
  /**
   * How a link names a file of the repository: the URL before the path, and whether there is such a file or folder.
   * Without it every `https:` link counts as external.
   */
  readonly repository?: { readonly url: string; readonly has: (path: string) => boolean };
}

interface FoundLink {
  readonly target: string;
  /** `src` of a script or image, or a style sheet: must not come from another site. */
  readonly loads: boolean;
}

interface ReadPage {
  readonly anchors: ReadonlySet<string>;
  readonly duplicates: readonly string[];
  readonly links: readonly FoundLink[];
}

/**
 * Looks up every relative link of a static site: the file must be there, and so must the anchor. Dead besides: a path
 * from the root (it would break under a base path), a link to a folder (nothing opens it without a server), an id that
 * a page has twice, anything that a page loads from elsewhere, and a scheme other than `https`, `http` and `mailto`.
 */
export function checkLinks({ pages, files, repository }: CheckLinksOptions): LinkReport {
  const read = new Map([...pages].map(([path, html]) => [path, readPage(html)] as const));
  const dead: DeadLink[] = [];
  let checked = 0;
  let external = 0;
  for (const [page, { links, duplicates }] of read) {
    for (const id of duplicates) dead.push({ page, target: `#${id}`, reason: `the id '${id}' is there twice` });
    for (const { target, loads } of links) {
      const inRepository = repository !== undefined && target.startsWith(repository.url);
      if (/^[a-z][a-z\d+.-]*:/i.test(target) && !inRepository) {
        const reason = reasonAgainstExternal(target, loads);
        if (reason === undefined) external++;
        else dead.push({ page, target, reason });
        continue;
      }
      checked++;
      const reason = inRepository ? lookUpInRepository(target, repository) : lookUp(page, target, read, files);
      if (reason !== undefined) dead.push({ page, target, reason });
    }
  }
  return { checked, external, dead };
}

function readPage(html: string): ReadPage {
  const anchors = new Set<string>();
  const duplicates: string[] = [];
  const links: FoundLink[] = [];
  for (const { name, attributes } of htmlTags(html)) {
    const id = attributes.get("id");
    if (id !== undefined) {
      if (anchors.has(id)) duplicates.push(id);
      anchors.add(id);
    }
    const named = name === "a" ? attributes.get("name") : undefined;
    if (named !== undefined) anchors.add(named);
    const href = attributes.get("href");
    if (href !== undefined)
      links.push({ target: href, loads: name === "link" && attributes.get("rel") !== "canonical" });
    const src = attributes.get("src");
    if (src !== undefined && !src.startsWith("data:")) links.push({ target: src, loads: true });
  }
  return { anchors, duplicates, links };
}

function reasonAgainstExternal(target: string, loads: boolean): string | undefined {
  if (!/^(https?|mailto|data):/i.test(target)) return "a scheme that no page may link to";
  return loads && !/^data:/i.test(target) ? "the page would load it from another site" : undefined;
}

function lookUp(
  page: string,
  target: string,
  pages: ReadonlyMap<string, ReadPage>,
  files: ReadonlySet<string>,
): string | undefined {
  if (target.startsWith("/")) return "a path from the root breaks where the site is not at the root";
  const [, file = "", , anchor] = /^([^?#]*)(\?[^#]*)?(?:#(.*))?$/s.exec(target) ?? [];
  const decoded = decode(file);
  const wantedAnchor = anchor === undefined ? undefined : decode(anchor);
  if (decoded === undefined || (anchor !== undefined && wantedAnchor === undefined)) return "it is not a valid URL";
  const path = decoded === "" ? page : posix.normalize(posix.join(posix.dirname(page), decoded));
  if (path.startsWith("../") || path === "..") return "it leads out of the site";
  const found = pages.get(path);
  if (found === undefined) {
    if (files.has(path)) return undefined;
    return pages.has(posix.join(path, "index.html")) ? `'${path}' is a folder` : `there is no '${path}'`;
  }
  // `#` and `#top` are the top of every page.
  if (wantedAnchor === undefined || wantedAnchor === "" || wantedAnchor === "top") return undefined;
  return found.anchors.has(wantedAnchor) ? undefined : `there is no anchor '${wantedAnchor}' in '${path}'`;
}

function lookUpInRepository(
  target: string,
  repository: { readonly url: string; readonly has: (path: string) => boolean },
): string | undefined {
  const path = decode(target.slice(repository.url.length).replace(/[?#].*$/s, ""));
  if (path === undefined) return "it is not a valid URL";
  return repository.has(path) ? undefined : `the repository has no '${path}'`;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
