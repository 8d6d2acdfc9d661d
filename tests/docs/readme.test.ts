import { expect, test } from "vitest";
import { listFiles, read, readWorkspace } from "../architecture/source-tree.ts";
import { pageAt, pages } from "./pages.ts";

const published = readWorkspace().filter(
  ({ directory, manifest }) => directory.startsWith("packages/") && manifest.private !== true,
);

test("README.md lists every package that is published, and every package has a page", () => {
  const text = pageAt("README.md").prose.join("\n");
  const missing = published.filter(
    ({ directory, manifest }) => !text.includes(`[\`${manifest.name}\`](${directory}/README.md)`),
  );
  expect(missing.map(({ directory }) => directory)).toEqual([]);
  const pageless = published.filter(({ directory }) => !pages.some(({ path }) => path === `${directory}/README.md`));
  expect(pageless.map(({ directory }) => directory)).toEqual([]);
});

test("README.md names every certification suite", () => {
  const { exports } = JSON.parse(read("packages/ready/package.json"));
  const suites = Object.keys(exports).filter((path) => /^\.\/\w+$/.test(path) && !/vitest|main$/.test(path));
  const [section = ""] = pageAt("README.md").prose.join("\n").split("## How plugins certify").slice(1);
  expect(suites.filter((path) => !section.includes(`/${path.slice(2)}\``))).toEqual([]);
});

test("README.md links every guide in docs", () => {
  const guides = listFiles().filter((path) => /^docs\/[^/]+\.md$/.test(path));
  const linked = pageAt("README.md").links.map(({ target }) => target);
  expect(guides.filter((path) => !linked.includes(path))).toEqual([]);
});
