import type { PageHeading } from "./markdown-renderer.ts";

/** A page, before it is laid out. */
export interface SitePage {
  /** From the site's root. */
  readonly path: string;
  readonly title: string;
  /** What tells the page from others of the same title, in the browser's title. */
  readonly titleContext?: string;
  readonly description: string;
  /** What stands above the title: where the page belongs, from the outside in. */
  readonly trail: readonly PageLink[];
  /** HTML of the main part, its `h1` included. */
  readonly content: string;
  readonly headings: readonly PageHeading[];
  /** The style sheets that it needs besides the site's own, from the site's root. */
  readonly styles?: readonly string[];
  readonly previous?: PageLink;
  readonly next?: PageLink;
  /** Where its source can be read. */
  readonly sourceUrl?: string;
}

/** A page as others link to it. Without a path it is only a name. */
export interface PageLink {
  readonly title: string;
  /** From the site's root. */
  readonly path?: string;
}

/** An entry of the navigation. */
export interface NavigationItem {
  readonly title: string;
  readonly path: string;
}

/** A group of the navigation. It is open on its own pages, and can be opened elsewhere. */
export interface NavigationGroup {
  readonly title: string;
  readonly items: readonly NavigationItem[];
}

/** The path from one page to another, or to a file, both from the site's root. It is short: a page of the reference has hundreds. */
export function relativePath(from: string, to: string): string {
  const source = from.split("/").slice(0, -1);
  const target = to.split("/");
  let shared = 0;
  while (shared < Math.min(source.length, target.length - 1) && source[shared] === target[shared]) shared += 1;
  const down = target.slice(shared).map(encodeURIComponent).join("/");
  return "../".repeat(source.length - shared) + down;
}
