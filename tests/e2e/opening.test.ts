import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { definePlugin } from "@vdc-os/core";
import { use } from "@vdc-os/core/kernel";
import { localHost } from "@vdc-os/host";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import { createDatacenter } from "@vdc-os/sdk";
import { afterEach, beforeEach, expect, test } from "vitest";

const failing = definePlugin({
  name: "@test/failing",
  version: "1.0.0",
  core: "0.1",
  summary: "Never starts.",
  setup() {
    throw new Error("the array does not answer");
  },
});

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "vdc-open-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("a new datacenter that can't be opened says why, and leaves neither folder nor host", async () => {
  const directory = join(folder, "dc");
  const opening = createDatacenter({
    directory,
    plugins: ({ directory: place }) => [
      use(sqliteStateStore, { config: { directory: join(place, "state") } }),
      use(failing),
    ],
    hosts: [localHost({ name: "alpha" })],
  });
  await expect(opening).rejects.toThrow(/@test\/failing/);
  expect(existsSync(directory)).toBe(false);
});

test("a datacenter that was there stays when it can't be opened", async () => {
  const directory = join(folder, "dc");
  const state = ({ directory: place }: { readonly directory: string }) =>
    use(sqliteStateStore, { config: { directory: join(place, "state") } });
  const first = await createDatacenter({ directory, plugins: (place) => [state(place)] });
  await first.close();
  await expect(createDatacenter({ directory, plugins: (place) => [state(place), use(failing)] })).rejects.toThrow(
    /@test\/failing/,
  );
  const again = await createDatacenter({ directory, plugins: (place) => [state(place)] });
  expect(again.uid).toBe(first.uid);
  await again.destroy();
  expect(existsSync(directory)).toBe(false);
});

test("a folder with something else in it is refused, and left as it is", async () => {
  const directory = join(folder, "papers");
  await mkdir(directory);
  await writeFile(join(directory, "letter.txt"), "dear");
  await expect(createDatacenter({ directory, mode: "ephemeral", plugins: [] })).rejects.toMatchObject({
    reason: "VDC_FOREIGN_DIRECTORY",
  });
  expect(await readdir(directory)).toEqual(["letter.txt"]);
});
