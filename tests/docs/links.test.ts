import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { expect, test } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { pages } from "./pages.ts";

test("relative links and their anchors lead somewhere", () => {
  const violations: string[] = [];
  for (const page of pages) {
    for (const { target, line } of page.links) {
      if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
      const [file = "", anchor] = decodeURI(target).split("#");
      const path = file === "" ? page.path : posix.normalize(posix.join(posix.dirname(page.path), file));
      if (!existsSync(join(root, path))) violations.push(`${page.path}:${line} '${target}': there is no '${path}'`);
      else if (anchor !== undefined && pages.find((other) => other.path === path)?.anchors.has(anchor) !== true) {
        violations.push(`${page.path}:${line} '${target}': there is no heading '${anchor}' in '${path}'`);
      }
    }
  }
  expect(violations).toEqual([]);
});
