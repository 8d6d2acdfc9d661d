import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, test } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { missingPrograms } from "@vdc-os/testing";
import { runNode } from "../docs/run-block.ts";

const folder = join(root, "examples");
const names = readdirSync(folder).filter((name) => existsSync(join(folder, name, "package.json")));

/** What the examples print that are run here. `virtual-datacenter` is the main job, `npm start`, which CI runs after the tests. */
const prints: Readonly<Record<string, RegExp>> = {
  "first-script":
    /^'web-1': a linked clone of 10737418240 bytes\nthe pool: 21474836480 bytes promised, \d+ bytes taken\n$/,
  "minimal-consumer": /^'disk' has 1073741824 bytes\n$/,
  "custom-cloud-connector":
    /^'web-1' is m-1, and running\nmachines that are left in the cloud: 0\nvdc\.cloud 1\.0: \d+ passed, \d+ not applicable\nverdict: success\n$/,
  "custom-switch":
    /^'lan': alpha up; nic down, by qemu-stream\nvdc\.network 1\.0: \d+ passed, \d+ not applicable\nverdict: success\n$/,
  "custom-storage-provider":
    /^'disk-1' has grown to 2147483648 bytes, and takes 0\nvdc\.storage 1\.0: \d+ passed, \d+ not applicable\nverdict: success\n$/,
  "python-provider":
    /^Python made 'disk-1' of 1073741824 bytes, and has promised 1073741824\nvdc\.storage 1\.0: \d+ passed, \d+ not applicable\nverdict: success\n$/,
};

/** What an example needs that npm does not have. */
const needs: Readonly<Record<string, readonly string[]>> = { "python-provider": ["python3"] };

test("every example is private, and has a page or is run by 'npm start'", () => {
  for (const name of names) {
    const manifest = JSON.parse(readFileSync(join(folder, name, "package.json"), "utf8"));
    expect({ name, private: manifest.private }).toEqual({ name, private: true });
    expect(name === "virtual-datacenter" || (name in prints && existsSync(join(folder, name, "README.md")))).toBe(true);
  }
});

describe("each example runs with its one command", () => {
  for (const [name, printed] of Object.entries(prints)) {
    const missing = missingPrograms(needs[name] ?? [], `the example '${name}' is not run`);
    it.skipIf(missing)(name, { timeout: 300_000 }, async () => {
      const { scripts } = JSON.parse(readFileSync(join(folder, name, "package.json"), "utf8"));
      expect(scripts.start).toBe("node src/main.ts");
      const { code, stdout, stderr } = await runNode(["src/main.ts"], { cwd: join(folder, name), timeoutMs: 290_000 });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(printed);
    });
  }
});
