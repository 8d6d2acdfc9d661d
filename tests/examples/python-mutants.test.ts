import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certify } from "@vdc-os/ready";
import { expect, test } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { missingPrograms } from "@vdc-os/testing";

const example = join(root, "examples/python-provider");

/** What is done wrong in the example's provider, and the requirement that must fail then. */
const mutants = [
  {
    breaks: "storage.attach.older",
    how: "forgets the generations of before",
    from: 'if generation <= volume["highest"]:',
    to: "if False:",
  },
  {
    breaks: "storage.durable.restart",
    how: "keeps its records in memory",
    from: 'os.replace(self.table + ".new", self.table)',
    to: "pass",
  },
  {
    breaks: "storage.list.filter",
    how: "answers with what the contract does not know",
    from: 'return {"items": [',
    to: 'return {"volumes": [',
  },
] as const;

const missing = missingPrograms(["python3"], "that the suite catches a wrong provider in Python is not tried");

for (const { breaks, how, from, to } of mutants) {
  test.skipIf(missing)(`the suite catches a provider in Python that ${how}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "vdc-python-"));
    try {
      await cp(join(example, "src"), join(folder, "src"), { recursive: true });
      await cp(join(example, "package.json"), join(folder, "package.json"));
      await symlink(join(example, "node_modules"), join(folder, "node_modules"), "dir");
      const path = join(folder, "src/folder_storage.py");
      const text = await readFile(path, "utf8");
      expect(text.split(from).length).toBe(2);
      const run = async () => {
        const { suites } = await certify({ package: folder, only: breaks, transports: ["pipe"] });
        return suites.flatMap(({ results }) => results.map(({ id, status }) => `${id} ${status}`));
      };
      expect(await run()).toEqual([`${breaks} pass`]);
      await writeFile(path, text.replace(from, to));
      expect(await run()).toEqual([`${breaks} fail`]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
}
