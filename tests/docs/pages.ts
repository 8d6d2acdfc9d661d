import { listFiles, read } from "../architecture/source-tree.ts";
import { type CodeBlock, type MarkdownPage, parseMarkdown } from "./markdown-page.ts";

/** Every Markdown page of the repository. */
export const pages: readonly MarkdownPage[] = listFiles()
  .filter((path) => path.endsWith(".md"))
  .map((path) => parseMarkdown(path, read(path)));

/** Every block of TypeScript in them. */
export const typeScriptBlocks: readonly CodeBlock[] = pages.flatMap(({ blocks }) =>
  blocks.filter(({ language }) => language === "ts" || language === "typescript"),
);

/** The page at a path. Throws when there is none. */
export function pageAt(path: string): MarkdownPage {
  const page = pages.find((each) => each.path === path);
  if (page === undefined) throw new Error(`there is no page '${path}'`);
  return page;
}

/** The file that a block says it shows, from the root. */
export function fileOf(block: CodeBlock): string | undefined {
  return block.words.find((word) => word.startsWith("file="))?.slice("file=".length);
}

/** A block's place, as editors and terminals link to it. */
export function placeOf({ path, line }: CodeBlock): string {
  return `${path}:${line}`;
}
