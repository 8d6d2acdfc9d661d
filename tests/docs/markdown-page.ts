/** A fenced block of a page. */
export interface CodeBlock {
  /** Path of the page, from the root. */
  readonly path: string;
  /** The line of its first line of code, from 1. */
  readonly line: number;
  readonly language: string;
  /** The words after the language, such as `run` and `file=examples/x.ts`. */
  readonly words: readonly string[];
  readonly text: string;
}

/** A link of a page. */
export interface PageLink {
  readonly target: string;
  readonly line: number;
}

/** What the documentation's tests look at in a Markdown page. */
export interface MarkdownPage {
  readonly path: string;
  readonly blocks: readonly CodeBlock[];
  /** Inline links and images, outside code. */
  readonly links: readonly PageLink[];
  /** The anchors of its headings, as GitHub makes them. */
  readonly anchors: ReadonlySet<string>;
  /** Its text without fenced blocks; lines keep their numbers. */
  readonly prose: readonly string[];
}

/** Reads a page. Throws when a fenced block is not closed. */
export function parseMarkdown(path: string, text: string): MarkdownPage {
  const blocks: CodeBlock[] = [];
  const prose: string[] = [];
  let open:
    | { readonly fence: string; readonly info: string; readonly line: number; readonly lines: string[] }
    | undefined;
  for (const [index, line] of text.split("\n").entries()) {
    if (open === undefined) {
      const start = /^ {0,3}(`{3,}|~{3,})(.*)$/.exec(line);
      prose.push(start === null ? line : "");
      if (start !== null)
        open = { fence: start[1] as string, info: (start[2] as string).trim(), line: index + 2, lines: [] };
      continue;
    }
    prose.push("");
    if (line.trim() !== open.fence) {
      open.lines.push(line);
      continue;
    }
    const [language = "", ...words] = open.info.split(/\s+/);
    blocks.push({ path, line: open.line, language, words, text: open.lines.join("\n") });
    open = undefined;
  }
  if (open !== undefined) throw new Error(`${path}:${open.line - 1} opens a block that is never closed`);
  return { path, blocks, links: findLinks(prose), anchors: findAnchors(prose), prose };
}

function findLinks(prose: readonly string[]): readonly PageLink[] {
  return prose.flatMap((line, index) =>
    [...line.replace(/`[^`]*`/g, "code").matchAll(/\]\(<?([^)>\s]+)>?(?:\s+"[^"]*")?\)/g)].map((match) => ({
      target: match[1] as string,
      line: index + 1,
    })),
  );
}

function findAnchors(prose: readonly string[]): ReadonlySet<string> {
  const anchors = new Set<string>();
  for (const line of prose) {
    for (const [, id] of line.matchAll(/<a (?:id|name)="([^"]+)"/g)) anchors.add(id as string);
    const heading = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (heading === undefined) continue;
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-");
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count++) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  return anchors;
}
