import MarkdownIt, { type Token } from "markdown-it";
import type { CodeHighlighter } from "./code-highlighter.ts";
import { HeadingSlugs } from "./heading-slug.ts";
import { escapeHtml } from "./html-tags.ts";

/** A heading that the table of contents lists. */
export interface PageHeading {
  readonly level: number;
  readonly id: string;
  readonly text: string;
}

/** What stands under one heading, or in the row of a table that begins with a code such as `NOT_FOUND`: a hit of the search leads to it. */
export interface PageSection {
  /** Undefined for the beginning of the page. */
  readonly id: string | undefined;
  readonly title: string;
  readonly text: string;
}

/** A page of Markdown, rendered. */
export interface RenderedMarkdown {
  readonly title: string;
  /** The first paragraph, as text of at most 200 characters. */
  readonly description: string;
  readonly html: string;
  readonly headings: readonly PageHeading[];
  readonly sections: readonly PageSection[];
}

/** What {@link renderMarkdown} needs to know of the site. */
export interface RenderMarkdownOptions {
  readonly highlighter: CodeHighlighter;
  /** The `href` for a link or image as it was written; `line` is that of the paragraph, from 1. Undefined: it is dead, and becomes text. */
  readonly resolveLink: (target: string, line: number) => string | undefined;
}

/** Renders a page of the repository. HTML within it is kept: the repository is trusted. */
export function renderMarkdown(text: string, { highlighter, resolveLink }: RenderMarkdownOptions): RenderedMarkdown {
  const markdown = new MarkdownIt({ html: true, linkify: false });
  const tokens = markdown.parse(text, {});
  const slugs = new HeadingSlugs();
  const headings = placeAnchors(tokens, slugs);
  placeRowAnchors(tokens, slugs);
  for (const token of tokens) {
    if (token.type === "inline") resolveLinks(token, resolveLink);
  }
  markdown.renderer.rules.table_open = () => `<div class="table" tabindex="0" role="region" aria-label="Table"><table>`;
  markdown.renderer.rules.table_close = () => "</table></div>";
  markdown.renderer.rules.code_inline = (all, index) => renderCodeInline((all[index] as Token).content);
  markdown.renderer.rules.fence = (all, index) => renderCode(all[index] as Token, highlighter, resolveLink);
  const sections = sectionsOf(tokens, headings);
  return {
    title: headings.find(({ level }) => level === 1)?.text ?? "",
    description: descriptionOf(tokens),
    html: markdown.renderer.render(tokens, markdown.options, {}),
    headings: headings.filter(({ level }) => level === 2 || level === 3),
    sections,
  };
}

/** The languages of its fenced blocks. */
export function languagesOf(text: string): readonly string[] {
  return [...text.matchAll(/^ *(?:`{3,}|~{3,})([\w+-]+)/gm)].map((match) => match[1] as string);
}

function placeAnchors(tokens: readonly Token[], slugs: HeadingSlugs): PageHeading[] {
  const headings: PageHeading[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token.type !== "heading_open") continue;
    const inline = tokens[index + 1] as Token;
    const text = textOf(inline);
    const id = slugs.next(text);
    token.attrSet("id", id);
    const level = Number(token.tag.slice(1));
    headings.push({ level, id, text });
    if (level > 1) inline.children?.push(rawHtml(anchorLink(id, text)));
  }
  return headings;
}

/** Who meets a code in a program looks for its row, and not for the table that it is in. */
function placeRowAnchors(tokens: readonly Token[], slugs: HeadingSlugs): void {
  for (const [index, token] of tokens.entries()) {
    if (token.type !== "tr_open") continue;
    const cell = tokens[index + 2] as Token;
    const [first, ...more] = cell.children ?? [];
    if (first?.type !== "code_inline" || more.length > 0 || !/^[A-Z]+(_[A-Z]+)*$/.test(first.content)) continue;
    const id = slugs.next(first.content);
    token.attrSet("id", id);
    cell.children?.push(rawHtml(anchorLink(id, first.content)));
  }
}

/** The sign beside a heading that gives its address. */
export function anchorLink(id: string, text: string): string {
  return `<a class="anchor" href="#${encodeURIComponent(id)}" aria-label="Link to “${escapeHtml(text)}”">#</a>`;
}

function rawHtml(content: string): Token {
  const [paragraph] = new MarkdownIt({ html: true }).parseInline("<i>", {}) as [Token];
  const token = paragraph.children?.[0] as Token;
  token.content = content;
  return token;
}

function resolveLinks(inline: Token, resolveLink: RenderMarkdownOptions["resolveLink"]): void {
  const line = (inline.map?.[0] ?? 0) + 1;
  for (const child of inline.children ?? []) {
    const attribute = child.type === "link_open" ? "href" : child.type === "image" ? "src" : undefined;
    if (attribute === undefined) continue;
    const target = child.attrGet(attribute)?.toString() ?? null;
    if (target === null) continue;
    const resolved = resolveLink(target, line);
    if (resolved === undefined) child.attrs = (child.attrs ?? []).filter(([name]) => name !== attribute);
    else child.attrSet(attribute, resolved);
  }
}

/** Long words such as `VDC_PROVIDER_UNAVAILABLE` may end a line at each underscore: a table of them would leave no room for the rest. */
function renderCodeInline(content: string): string {
  const text = escapeHtml(content);
  return `<code>${/^[A-Z]+(_[A-Z]+)+$/.test(content) ? text.replaceAll("_", "_<wbr>") : text}</code>`;
}

function renderCode(
  token: Token,
  highlighter: CodeHighlighter,
  resolveLink: RenderMarkdownOptions["resolveLink"],
): string {
  const [language = "", ...words] = token.info.trim().split(/\s+/);
  const pre = highlighter.highlight(token.content.replace(/\n$/, ""), language).replace(/^<pre/, '<pre tabindex="0"');
  const file = words.find((word) => word.startsWith("file="))?.slice("file=".length);
  const caption = file === undefined ? captionOf(language, words) : fileCaption(file, resolveLink(`/${file}`, 0));
  if (caption === undefined) return `<figure class="code">${pre}</figure>\n`;
  return `<figure class="code"><figcaption>${caption}</figcaption>${pre}</figure>\n`;
}

function fileCaption(file: string, href: string | undefined): string {
  const name = `<code>${escapeHtml(file)}</code>`;
  return href === undefined ? name : `<a href="${escapeHtml(href)}">${name}</a>`;
}

function captionOf(language: string, words: readonly string[]): string | undefined {
  if (words.includes("output")) return "Output";
  return language === "sh" || language === "bash" ? "Terminal" : undefined;
}

function textOf(inline: Token): string {
  return (inline.children ?? [])
    .map((child) => {
      if (child.type === "softbreak" || child.type === "hardbreak") return " ";
      if (child.type === "image") return textOf(child);
      return child.type === "text" || child.type === "code_inline" ? child.content : "";
    })
    .join("");
}

function descriptionOf(tokens: readonly Token[]): string {
  const start = tokens.findIndex(({ type, level }) => type === "paragraph_open" && level === 0);
  const text = start === -1 ? "" : textOf(tokens[start + 1] as Token);
  return text.length <= 200 ? text : `${text.slice(0, 200).replace(/\s+\S*$/, "")} …`;
}

function sectionsOf(tokens: readonly Token[], headings: readonly PageHeading[]): readonly PageSection[] {
  const sections: { id: string | undefined; title: string; parts: string[] }[] = [];
  const begin = (id: string | undefined, title: string): (typeof sections)[number] => {
    const section = { id, title, parts: [] };
    sections.push(section);
    return section;
  };
  let next = 0;
  let current = begin(undefined, headings[0]?.text ?? "");
  let row: typeof current | undefined;
  for (const [index, token] of tokens.entries()) {
    if (token.type === "heading_open") {
      const heading = headings[next++] as PageHeading;
      if (heading.level > 1) current = begin(heading.id, heading.text);
    } else if (token.type === "tr_open") {
      const id = token.attrGet("id")?.toString();
      row = id === undefined ? undefined : begin(id, textOf(tokens[index + 2] as Token));
    } else if (token.type === "tr_close") row = undefined;
    else if (token.type === "inline" && tokens[index - 1]?.type !== "heading_open") {
      const text = textOf(token);
      if (text !== row?.title) (row ?? current).parts.push(text);
    } else if (token.type === "fence") current.parts.push(token.content.replace(/\s+/g, " "));
  }
  return sections.map(({ id, title, parts }) => ({ id, title, text: parts.join(" ").replace(/\s+/g, " ").trim() }));
}
