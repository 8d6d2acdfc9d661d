import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type BrowserContext, chromium } from "playwright-core";

/** A browser without a window, with a profile of its own. */
export interface Browser {
  readonly context: BrowserContext;
  /** Addresses outside this machine that a page asked for. */
  readonly outside: readonly string[];
  /** Errors in scripts of pages. */
  readonly errors: readonly string[];
  close(): Promise<void>;
}

/** Where Chromium is, under whichever name. Undefined when it is not on this machine. */
export function findChromium(): string | undefined {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return ["chromium", "chromium-browser", "google-chrome"]
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find(isExecutable);
}

/**
 * Whether the tests in a browser must be skipped for want of Chromium; says so. In continuous integration that is a
 * failure.
 */
export function missingChromium(): boolean {
  if (findChromium() !== undefined) return false;
  const text = "Not on this machine: chromium; the documentation site is not tried in a browser.";
  if (process.env.CI) throw new Error(text);
  console.warn(text);
  return true;
}

/** Starts the browser. It asks nobody for updates or settings. */
export async function openBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "vdc-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: findChromium() as string,
    headless: true,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  const outside: string[] = [];
  const errors: string[] = [];
  context.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (/^https?:$/.test(protocol) && hostname !== "127.0.0.1") outside.push(request.url());
  });
  context.on("weberror", (error) => errors.push(String(error.error())));
  return {
    context,
    outside,
    errors,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
