import { expect, test } from "vitest";
import type { CodeHighlighter } from "./code-highlighter.ts";
import { escapeHtml } from "./html-tags.ts";
import { languagesOf, type RenderedMarkdown, renderMarkdown } from "./markdown-renderer.ts";

const highlighter: CodeHighlighter = {
  highlight: (code) => `<pre><code>${escapeHtml(code)}</code></pre>`,
  dispose() {},
};
const render = (text: string, resolveLink = (target: string): string | undefined => target): RenderedMarkdown =>
  renderMarkdown(text, { highlighter, resolveLink });

test("the title is the first heading, the description the first paragraph", () => {
  const page = render("# The `vdc` command\n\nIt *does* things\nin two lines.\n\nMore.");
  expect(page.title).toBe("The vdc command");
  expect(page.description).toBe("It does things in two lines.");
});

test("a long description ends at a word", () => {
  const { description } = render(`# x\n\n${"word ".repeat(60)}`);
  expect(description.length).toBeLessThanOrEqual(203);
  expect(description).toMatch(/word …$/);
});

test("headings have the anchors that GitHub gives them", () => {
  const { headings, html } = render(
    "# x\n## `dc.vms`: create & go\n## Same\n### Same\n#### Deep\n## [A link](y.md) – ünï",
  );
  expect(headings.map(({ id }) => id)).toEqual(["dcvms-create--go", "same", "same-1", "a-link--ünï"]);
  expect(html).toContain('<h4 id="deep">Deep<a class="anchor" href="#deep"');
});

test("a dead link becomes text, and tells its line", () => {
  const seen: [string, number][] = [];
  const { html } = render("# x\n\ntext\n\n[gone](gone.md) [here](a.md)", (target, line?: number) => {
    seen.push([target, line ?? 0]);
    return target === "a.md" ? "a.html" : undefined;
  });
  expect(html).toContain('<a>gone</a> <a href="a.html">here</a>');
  expect(seen).toEqual([
    ["gone.md", 5],
    ["a.md", 5],
  ]);
});

test("tables scroll by themselves, and the keyboard reaches them", () => {
  expect(render("| a |\n| - |\n| b |").html).toMatch(/^<div class="table" tabindex="0" role="region"[^>]*><table>/);
});

test("a row that begins with a code is a place of its own, for links and for the search", () => {
  const page = render(
    "# x\n## Codes\nlead\n\n| code | when |\n| - | - |\n| `VDC_LOCKED` | held |\n| `dc.vms` | never |",
  );
  expect(page.html).toContain(
    '<tr id="vdc_locked">\n<td><code>VDC_<wbr>LOCKED</code><a class="anchor" href="#vdc_locked"',
  );
  expect(page.sections).toEqual([
    { id: undefined, title: "x", text: "" },
    { id: "codes", title: "Codes", text: "lead code when dc.vms never" },
    { id: "vdc_locked", title: "VDC_LOCKED", text: "held" },
  ]);
});

test("a block that shows a file names it, and links to it", () => {
  const { html } = render("```ts file=examples/a.ts\nconst a = 1 < 2;\n```", (target) => `repository:${target}`);
  expect(html).toContain('<a href="repository:/examples/a.ts"><code>examples/a.ts</code></a>');
  expect(html).toContain("1 &lt; 2");
});

test("every heading begins a section of the search, with the text and code below it", () => {
  const { sections } = render("# Title\nlead\n## One\n- a `b`\n```sh\nnpm start\n```\n### Two\nend");
  expect(sections).toEqual([
    { id: undefined, title: "Title", text: "lead" },
    { id: "one", title: "One", text: "a b npm start" },
    { id: "two", title: "Two", text: "end" },
  ]);
});

test("languages of fenced blocks are found", () => {
  expect(languagesOf("```ts run\n```\n   ~~~sh\n~~~\n````\n````")).toEqual(["ts", "sh"]);
});
