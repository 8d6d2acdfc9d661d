import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ServedSite, serveSite } from "./serve-site.ts";

let folder: string;
let site: ServedSite;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vdc-serve-"));
  mkdirSync(join(folder, "site/api"), { recursive: true });
  writeFileSync(join(folder, "secret.txt"), "secret");
  writeFileSync(join(folder, "site/index.html"), "home");
  writeFileSync(join(folder, "site/api/index.html"), "api");
  site = await serveSite(join(folder, "site"), 0);
});
afterAll(async () => {
  await site.close();
  rmSync(folder, { recursive: true });
});

/** As it stands: `fetch` would resolve the dots of a path itself. */
function statusOf(path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(site.url);
    get({ hostname, port, path }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode));
    }).on("error", reject);
  });
}

test("pages are served, a folder by its index", async () => {
  expect(new URL(site.url).hostname).toBe("127.0.0.1");
  expect(await (await fetch(site.url)).text()).toBe("home");
  const api = await fetch(`${site.url}api/?x#y`);
  expect(await api.text()).toBe("api");
  expect(api.headers.get("content-type")).toBe("text/html; charset=utf-8");
});

test.each(["/gone.html", "/api", "/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/%zz", "/%00"])(
  "nothing is served at %s",
  async (path) => {
    expect(await statusOf(path)).toBe(404);
  },
);

test("only reading is allowed", async () => {
  expect((await fetch(site.url, { method: "POST" })).status).toBe(404);
});
