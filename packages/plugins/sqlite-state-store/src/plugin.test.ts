import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kernel, use } from "@vdc-os/core/kernel";
import { stateStore } from "@vdc-os/core/state/v1";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { databasePath, sqliteStateStoreConfig } from "./config.ts";
import plugin from "./plugin.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-state-plugin-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the plugin", () => {
  it("provides a state store to a kernel, and lets the file go when it stops", async () => {
    for (const revision of [1, 2]) {
      const kernel = new Kernel({ plugins: [use(plugin, { config: { directory: folder, name: "inventory" } })] });
      await kernel.start();
      const store = kernel.get(stateStore);
      const result = await store.transact({ compare: [], operations: [{ type: "put", key: "a", value: revision }] });
      expect(result).toEqual({ committed: true, revision });
      const history = await store.facet("history");
      expect(history).toMatchObject({ available: true, limits: { revisions: 10_000 } });
      await kernel.stop();
    }
    expect(existsSync(join(folder, "inventory.db"))).toBe(true);
  });

  it("takes a directory or a path, not both and not neither", () => {
    const accepts = (config: unknown): boolean => sqliteStateStoreConfig.safeParse(config).success;
    expect(accepts({ directory: "/var/lib/vdc" })).toBe(true);
    expect(accepts({ path: "/var/lib/vdc/state.db", keepRevisions: 500 })).toBe(true);
    expect(accepts({})).toBe(false);
    expect(accepts({ directory: "/a", path: "/b" })).toBe(false);
    expect(accepts({ path: "/b", name: "c" })).toBe(false);
    expect(accepts({ directory: "/a", name: "../b" })).toBe(false);
    expect(databasePath({ directory: "/var/lib/vdc" })).toBe("/var/lib/vdc/state.db");
  });
});
