import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkLinks, type LinkReport } from "./link-check.ts";

const check = (pages: Readonly<Record<string, string>>, files: readonly string[] = []): LinkReport =>
  checkLinks({
    pages: new Map(Object.entries(pages)),
    files: new Set(files),
    repository: { url: "https://example.org/vdc/blob/main/", has: (path) => path === "src/a b.ts" },
  });

const reasonsOf = (html: string): readonly string[] =>
  check({ "guides/a.html": html, "guides/b.html": '<h2 id="there">b</h2>', "api/index.html": "" }, [
    "assets/site.css",
  ]).dead.map(({ reason }) => reason);

describe("a link that leads somewhere", () => {
  test.each([
    ["to a page", '<a href="b.html">'],
    ["to an anchor of a page", '<a href="b.html#there">'],
    ["to an anchor of its own page", '<h1 id="here"></h1><a href="#here">'],
    ["to an old-fashioned anchor", '<a name="here"></a><a href="#here">'],
    ["to an anchor that needs percent signs", '<h1 id="größe"></h1><a href="#gr%C3%B6%C3%9Fe">'],
    ["to the top", '<a href="#">'],
    ["up and down", '<a href="../api/index.html">'],
    ["past a query", '<a href="b.html?x=1#there">'],
    ["to a file", '<link rel="stylesheet" href="../assets/site.css">'],
    ["without quotes", "<a href=b.html#there>"],
    ["to a file of the repository, with a line", '<a href="https://example.org/vdc/blob/main/src/a%20b.ts#L4">'],
    ["to another site", '<a href="https://elsewhere.example/x#y">'],
    ["to a mailbox", '<a href="mailto:nobody@example.org">'],
  ])("%s", (_, html) => {
    expect(reasonsOf(html)).toEqual([]);
  });
});

describe("a link that is dead", () => {
  test.each([
    ["no such page", '<a href="c.html">', "there is no 'guides/c.html'"],
    ["no such anchor", '<a href="b.html#gone">', "there is no anchor 'gone' in 'guides/b.html'"],
    ["no such anchor here", '<a href="#gone">', "there is no anchor 'gone' in 'guides/a.html'"],
    ["another case of letters", '<a href="B.html">', "there is no 'guides/B.html'"],
    ["a folder", '<a href="../api">', "'api' is a folder"],
    ["a folder, with a slash", '<a href="../api/">', "'api/' is a folder"],
    ["out of the site", '<a href="../../etc/passwd">', "it leads out of the site"],
    ["from the root", '<a href="/guides/b.html">', "a path from the root breaks where the site is not at the root"],
    ["not a URL", '<a href="%zz.html">', "it is not a valid URL"],
    ["no such script", '<script src="gone.js"></script>', "there is no 'guides/gone.js'"],
    [
      "a script of another site",
      '<script src="https://cdn.example/x.js"></script>',
      "the page would load it from another site",
    ],
    [
      "a style sheet of another site",
      '<link href="https://cdn.example/x.css">',
      "the page would load it from another site",
    ],
    ["a scheme that runs code", '<a href="javascript:alert(1)">', "a scheme that no page may link to"],
    [
      "gone from the repository",
      '<a href="https://example.org/vdc/blob/main/src/gone.ts">',
      "the repository has no 'src/gone.ts'",
    ],
    ["an id that is there twice", '<p id="x"><p id="x">', "the id 'x' is there twice"],
  ])("%s", (_, html, reason) => {
    expect(reasonsOf(html)).toEqual([reason]);
  });
});

test("what only looks like a link is none", () => {
  const html = `<script>const x = '<a href="gone.html">';</script><!-- <a href="gone.html"> --><pre>&lt;a href="gone.html"></pre>`;
  expect(check({ "a.html": html })).toEqual({ checked: 0, external: 0, dead: [] });
});

test("links are counted", () => {
  const report = check({ "a.html": '<a href="a.html"></a><a href="#"></a><a href="https://example.com"></a>' });
  expect(report).toEqual({ checked: 2, external: 1, dead: [] });
});

test("a dead link names its page and itself, as it was written", () => {
  expect(check({ "a.html": '<a href="b.html?x=1&amp;y=2">' }).dead).toEqual([
    { page: "a.html", target: "b.html?x=1&y=2", reason: "there is no 'b.html'" },
  ]);
});

test("no text makes it fail or hang", () => {
  const piece = fc.constantFrom(
    "<",
    ">",
    "a",
    " href=",
    '"',
    "'",
    "/",
    "<!--",
    "-->",
    "<script>",
    "</script",
    "&#x",
    "%",
    "#",
    " ",
  );
  const html = fc.oneof(
    fc.string(),
    fc.array(piece, { maxLength: 60 }).map((pieces) => pieces.join("")),
  );
  fc.assert(
    fc.property(html, (text) => {
      const { checked, dead } = check({ "a.html": text });
      expect(checked).toBeGreaterThanOrEqual(0);
      for (const link of dead) expect(link.reason).not.toBe("");
    }),
    { seed: 7, numRuns: process.env.VDC_DEEP ? 100_000 : 2_000 },
  );
});
