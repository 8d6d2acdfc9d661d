import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { watch } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { missingPrograms } from "@vdc-os/testing";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { VdcFolder } from "./vdc-folder.ts";

// Up to fifteen processes for each test: where others work too, they take their time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

const programs = ["qemu-system-x86_64", "qemu-img"];
const skip = missingPrograms(programs, "that 'vdc storage volume move' moves and is cancelled is not tested");

let folder: VdcFolder;

beforeAll(async () => {
  folder = await VdcFolder.make();
  await folder.text("init");
  await writeFile(join(folder.path, "disk.raw"), randomBytes(192 * 2 ** 20));
  await folder.text("storage volume import disk.raw disk --format raw --storage thin");
});

afterAll(async () => folder?.[Symbol.asyncDispose]());

interface Shown {
  readonly volume: { readonly storage: string; readonly state: string; readonly status: { readonly move?: object } };
}

test("without a hypervisor it is said who would copy", async () => {
  const { code, stderr } = await folder.run("storage volume move disk --to clones");
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("@vdc-os/plugin-qemu") });
});

test.skipIf(skip)("a move is cancelled without loss, and done", async () => {
  await folder.run("destroy --yes");
  const config = join(folder.path, "vdc.config.mts");
  const plugin = `plugins: ({ name, directory }) => [{ module: "@vdc-os/plugin-qemu", config: { name, directory, accelerator: "tcg" } }]`;
  const text = await readFile(config, "utf8");
  await writeFile(config, text.replace('localHost({ name: "local",', `localHost({ name: "local", ${plugin},`));
  await folder.text("storage volume import disk.raw disk --format raw --storage thin");

  const begun = new AbortController();
  const watcher = watch(join(folder.path, ".vdc/datacenter/pool/volumes"), () => begun.abort());
  const { child, ended } = folder.start("storage volume move disk --to clones --json");
  await Promise.race([once(begun.signal, "abort"), ended]);
  watcher.close();
  child.kill("SIGINT");
  const interrupted = await ended;
  expect(interrupted.code).toBe(130);
  expect(JSON.parse(interrupted.stderr)).toMatchObject({ error: { code: "CANCELLED" } });
  const stayed = await folder.json<Shown>("storage volume show disk");
  expect(stayed.volume).toMatchObject({ storage: "thin", state: "ready" });
  expect(stayed.volume.status.move).toBeUndefined();

  expect(await folder.text("storage volume move disk --to clones")).toMatch(
    /^Volume 'disk' moved from 'thin' to 'clones': 192 MiB in /,
  );
  await folder.text("storage volume export disk moved.qcow2 --format qcow2");
  expect(await folder.text("disk compare disk.raw moved.qcow2 --format raw")).toBe("Both read the same.\n");
});
