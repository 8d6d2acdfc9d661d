import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { readGuides, sitePath } from "./guide-sources.ts";

test("a README stands for its folder, the root's for the site", () => {
  expect(
    ["README.md", "docs/errors.md", "packages/core/README.md", "packages/a/test/b.md", "SECURITY.md"].map(sitePath),
  ).toEqual(["index.html", "guides/errors.html", "packages/core.html", "packages/a/test/b.html", "security.html"]);
});

test("pages come in the order of the navigation; what is no documentation does not come", () => {
  const root = mkdtempSync(join(tmpdir(), "vdc-guides-"));
  const files = [
    "README.md",
    "docs/errors.md",
    "docs/write-a-secret-store.md",
    "docs/write-a-storage-provider.md",
    "docs/your-first-plugin.md",
    "docs/something-new.md",
    "packages/plugins/b/README.md",
    "packages/api-client/README.md",
    "packages/api/README.md",
    "packages/sdk/README.md",
    "packages/core/README.md",
    "packages/core/CHANGELOG.md",
    "packages/core/node_modules/x/README.md",
    "packages/create-plugin/templates/x/README.md",
  ];
  try {
    for (const file of files) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), `# ${file}\n`);
    }
    expect(readGuides(root).map(({ group, source }) => `${group}: ${source}`)).toEqual([
      "Start here: README.md",
      "Start here: docs/your-first-plugin.md",
      "Write a plugin: docs/write-a-storage-provider.md",
      "Write a plugin: docs/write-a-secret-store.md",
      "Run and test: docs/something-new.md",
      "Reference: docs/errors.md",
      "Packages: packages/core/README.md",
      "Packages: packages/sdk/README.md",
      "Packages: packages/api/README.md",
      "Packages: packages/api-client/README.md",
      "Plugins: packages/plugins/b/README.md",
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});
