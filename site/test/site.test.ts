import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildSite, type SiteReport } from "../src/build-site.ts";
import { htmlTags } from "../src/html-tags.ts";
import { type ServedSite, serveSite } from "../src/serve-site.ts";
import { type Browser, missingChromium, openBrowser } from "./open-browser.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
let out: string;
let report: SiteReport;

// The whole site, as `npm run docs` makes it: about 15 seconds of one processor.
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vdc-docs-"));
  // Below another folder: no page may count on being at the root of its server.
  out = join(folder, "served/manual");
  report = await buildSite({ root, out });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Paths of the pages, from the site's root. */
function pagesIn(part: string): readonly string[] {
  return readdirSync(join(out, part), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".html"))
    .map((path) => join(part, path))
    .sort();
}

const guidePages = (): readonly string[] => pagesIn("").filter((path) => !path.startsWith("api/"));

test("no link is dead", () => {
  expect(report.dead).toEqual([]);
  expect(report.links).toBeGreaterThan(10_000);
});

test("all guides and all modules are there", () => {
  expect(guidePages()).toHaveLength(report.guides);
  expect(guidePages()).toContain("guides/errors.html");
  expect(guidePages()).toContain("packages/plugins/thin-provisioning.html");
  expect(pagesIn("api").filter((path) => path.endsWith("/index.html"))).toHaveLength(report.modules + 1);
  expect(pagesIn("api")).toContain("api/core/storage/v1/StorageProvider.html");
});

test("every page has a title of its own, a description, one main heading and landmarks", () => {
  const titles = new Map<string, string>();
  const violations: string[] = [];
  for (const path of pagesIn("")) {
    const html = readFileSync(join(out, path), "utf8");
    const tags = [...htmlTags(html)];
    const count = (name: string): number => tags.filter((tag) => tag.name === name).length;
    if (count("h1") !== 1) violations.push(`${path}: ${count("h1")} main headings`);
    for (const name of ["main", "header", "article"]) if (count(name) !== 1) violations.push(`${path}: <${name}>`);
    if (!tags.some(({ name, attributes }) => name === "html" && attributes.get("lang") === "en"))
      violations.push(`${path}: lang`);
    const description = tags
      .find(({ attributes }) => attributes.get("name") === "description")
      ?.attributes.get("content");
    if (!description) violations.push(`${path}: no description`);
    const title = /<title>(.*?)<\/title>/.exec(html)?.[1] ?? "";
    // The same name may well be in two modules.
    if (!path.startsWith("api/") && titles.has(title)) violations.push(`${path}: '${title}' is ${titles.get(title)}`);
    titles.set(title, path);
  }
  expect(violations).toEqual([]);
});

describe.skipIf(missingChromium())("in a browser", () => {
  let browser: Browser;
  let site: ServedSite;
  let page: Page;
  let base: string;

  beforeAll(async () => {
    site = await serveSite(join(folder, "served"), 0);
    base = `${site.url}manual/`;
    browser = await openBrowser();
    page = await browser.context.newPage();
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });

  /** Types into the search, and waits for what the last key brings. */
  async function search(query: string): Promise<void> {
    await page.keyboard.press("/");
    await page.getByRole("combobox").fill(query);
    await page.locator("#finder-results [aria-selected=true]").waitFor();
  }

  test("the search finds a page, and Enter opens it", async () => {
    await page.goto(`${base}index.html`);
    await search("write a storage provder");
    expect(await page.getByRole("combobox").inputValue()).toBe("write a storage provder");
    await page.keyboard.press("Enter");
    await page.waitForURL(/write-a-storage-provider\.html/);
    expect(await page.locator("h1").textContent()).toBe("Write a storage provider");
  });

  test("the search finds a name of the API from a page deep down, with arrow keys", async () => {
    await page.goto(`${base}packages/plugins/thin-provisioning.html`);
    await search("createDatacenter");
    const first = page.getByRole("option").first();
    expect(await first.locator(".title").textContent()).toBe("createDatacenter");
    await page.keyboard.press("ArrowDown");
    expect(await first.getAttribute("aria-selected")).toBe("false");
    expect(await page.getByRole("combobox").getAttribute("aria-activedescendant")).toBe("finder-result-1");
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("Enter");
    await page.waitForURL(/api\/sdk\/createDatacenter\.html/);
  });

  test("Escape closes the search, and what is not there is said", async () => {
    await page.goto(`${base}index.html`);
    await page.keyboard.press("/");
    await page.getByRole("combobox").fill("qqqqqqqqqq");
    await page.getByRole("status").filter({ hasText: "Nothing has" }).waitFor();
    await page.keyboard.press("Escape");
    expect(await page.getByRole("dialog").count()).toBe(0);
  });

  test("the search works from a disk, without a server", async () => {
    await page.goto(pathToFileURL(join(out, "guides/errors.html")).href);
    await search("compatibility");
    await page.keyboard.press("Enter");
    await page.waitForURL(/^file:.*compatibility\.html/);
  });

  test("on a phone nothing is wider than the screen", { timeout: 240_000 }, async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    const wide: string[] = [];
    const symbols = pagesIn("api/core").filter((path) =>
      /(index|Provider|Store|defineExtensionPoint)\.html$/.test(path),
    );
    for (const path of [...guidePages(), "api/index.html", ...symbols]) {
      await page.goto(base + path, { waitUntil: "domcontentloaded" });
      const [content, screen] = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return [scrollWidth, clientWidth] as const;
      });
      if (content > screen) wide.push(`${path}: ${content}`);
    }
    expect(wide).toEqual([]);
  });

  test("on a phone the navigation folds", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${base}guides/errors.html`);
    const link = page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Compatibility" });
    const menu = page.getByRole("button", { name: "Navigation" });
    expect(await link.isVisible()).toBe(false);
    await menu.click();
    expect(await menu.getAttribute("aria-expanded")).toBe("true");
    await link.click();
    await page.waitForURL(/compatibility\.html/);
    expect(await page.getByRole("navigation", { name: "Pages" }).isVisible()).toBe(false);
    await page.setViewportSize({ width: 1280, height: 800 });
    expect(await page.getByRole("navigation", { name: "Pages" }).isVisible()).toBe(true);
  });

  test("dark as the system, or as the reader says, on every page", async () => {
    const ground = (): Promise<string> => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: "dark" });
    await page.goto(`${base}guides/errors.html`);
    const dark = await ground();
    await page.emulateMedia({ colorScheme: "light" });
    expect(await ground()).toBe("rgb(255, 255, 255)");
    await page.getByRole("button", { name: "Colours: as the system" }).click();
    await page.getByRole("button", { name: "Colours: light" }).click();
    await page.getByRole("button", { name: "Colours: dark" }).waitFor();
    expect(await ground()).toBe(dark);
    await page.goto(`${base}api/sdk/index.html`);
    expect(await ground()).toBe(dark);
    await page.getByRole("button", { name: "Colours: dark" }).click();
    expect(await ground()).toBe("rgb(255, 255, 255)");
  });

  test("text has enough contrast, light and dark, code included", async () => {
    const pages = [
      "index.html",
      "guides/wire-protocol.html",
      "packages/core.html",
      "api/core/storage/v1/StorageProvider.html",
    ];
    const poor: string[] = [];
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      for (const path of pages) {
        await page.goto(base + path);
        poor.push(...(await page.evaluate(findPoorContrast)).map((text) => `${colorScheme} ${path}: ${text}`));
      }
    }
    expect(poor).toEqual([]);
  });

  test("on paper there is the text alone, dark on white", async () => {
    await page.setViewportSize({ width: 700, height: 900 });
    await page.emulateMedia({ media: "print", colorScheme: "dark" });
    await page.goto(`${base}guides/consume-the-sdk.html`);
    const shown = await page.evaluate(() => {
      const all = [
        "header.top",
        "nav.pages",
        ".contents.inline",
        ".contents.aside",
        ".trail",
        ".turn",
        "button.copy",
        "h1",
      ];
      return all.filter((selector) => document.querySelector(selector)?.checkVisibility());
    });
    expect(shown).toEqual(["h1"]);
    expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).toBe("rgb(255, 255, 255)");
    await page.emulateMedia({ media: "screen", colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  test("the skip link is the first stop of the keyboard, and leads to the content", async () => {
    await page.goto(`${base}index.html`);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("Skip to the content");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.tagName)).toBe("MAIN");
  });

  test("code can be copied", async () => {
    await browser.context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.goto(`${base}index.html`);
    await page.getByRole("button", { name: "Copy this code" }).first().click();
    await page.getByText("Copied").waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("npm start\nnpm test");
  });

  test("no page asked another machine for anything, and no script failed", () => {
    expect(browser.outside).toEqual([]);
    expect(browser.errors).toEqual([]);
  });
});

/** Runs in the browser: text whose colour has a contrast below 4.5 (WCAG 2.2, 1.4.3) to what it stands on. */
function findPoorContrast(): string[] {
  const channels = (colour: string): readonly number[] => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (colour: string): number => {
    const [red = 0, green = 0, blue = 0] = channels(colour)
      .slice(0, 3)
      .map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const groundOf = (element: Element | null): string => {
    for (let each = element; each !== null; each = each.parentElement) {
      const colour = getComputedStyle(each).backgroundColor;
      if (channels(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = new Set<string>();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement;
    if (element === null || !node.textContent?.trim() || !element.checkVisibility({ opacityProperty: true })) continue;
    const [text, ground] = [luminance(getComputedStyle(element).color), luminance(groundOf(element))];
    const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (contrast < 4.5)
      found.add(
        `${element.tagName}.${element.className} '${node.textContent.trim().slice(0, 30)}' ${contrast.toFixed(2)}`,
      );
  }
  return [...found];
}
