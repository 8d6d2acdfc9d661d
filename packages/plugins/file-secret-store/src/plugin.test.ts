import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Kernel, use } from "@vdc-os/core/kernel";
import { secretStore } from "@vdc-os/core/secret/v1";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import plugin from "./plugin.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdc-secret-plugin-"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the plugin", () => {
  const config = (): object => ({
    path: join(folder, "secrets.vdc"),
    keyFile: join(folder, "secret.key"),
    createKeyFile: true,
  });

  it("provides a secret store to a kernel, and finds the secrets again", async () => {
    for (const version of [1, 2]) {
      const kernel = new Kernel({ plugins: [use(plugin, { config: config() })] });
      await kernel.start();
      const store = kernel.get(secretStore);
      expect(await store.put({ name: "api-token", value: `value ${version}` })).toEqual({ version });
      expect(await store.resolve({ name: "api-token", version: 1 })).toEqual({ value: "value 1", version: 1 });
      await kernel.stop();
    }
  });

  it("makes no new key while there are secrets of another", async () => {
    const first = new Kernel({ plugins: [use(plugin, { config: config() })] });
    await first.start();
    await first.stop();
    rmSync(join(folder, "secret.key"));
    const second = new Kernel({ plugins: [use(plugin, { config: config() })] });
    await expect(second.start()).rejects.toThrow("secret.key");
    await second.stop();
  });
});
