import { expect, test } from "vitest";
import { parseMarkdown } from "./markdown-page.ts";

const text = `# Title with \`code\` & more

See [the guide](docs/guide.md#part-one "Guide"), not \`[this](no.md)\`.

\`\`\`ts run file=a.ts
const link = "[no](no.md)";
\`\`\`

## Part one
## Part one
`;

test("finds blocks with their lines, links outside code, and anchors", () => {
  const page = parseMarkdown("a.md", text);
  expect(page.blocks).toEqual([
    { path: "a.md", line: 6, language: "ts", words: ["run", "file=a.ts"], text: 'const link = "[no](no.md)";' },
  ]);
  expect(page.links).toEqual([{ target: "docs/guide.md#part-one", line: 3 }]);
  expect([...page.anchors]).toEqual(["title-with-code--more", "part-one", "part-one-1"]);
});

test("refuses a page whose last block is not closed", () => {
  expect(() => parseMarkdown("a.md", "text\n```ts\n")).toThrow("a.md:2");
});
