import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { watch } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { VdcFolder } from "./vdc-folder.ts";

// Up to fifteen processes for each test: where others work too, they take their time.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let folder: VdcFolder;
/** What the golden volume holds: 1 MiB at its beginning, and 128 MiB from 256 MiB on. */
const head = randomBytes(2 ** 20);

beforeAll(async () => {
  folder = await VdcFolder.make();
});

afterAll(async () => folder?.[Symbol.asyncDispose]());

interface Volumes {
  readonly volumes: readonly { readonly name: string; readonly storage: string; readonly state: string }[];
}

interface Failure {
  readonly error: {
    readonly code: string;
    readonly reason: string;
    readonly advice?: string;
    readonly details?: { pid?: number };
  };
}

test("without a config it says what to do; with one that is written, there is a datacenter", async () => {
  const without = await folder.run("storage pools");
  expect(without).toMatchObject({ code: 1, stdout: "" });
  expect(without.stderr).toContain("vdc init");
  expect(await folder.text("init")).toBe("'vdc.config.mts' says what is in the datacenter.\nThen: vdc storage pools\n");
  expect(await folder.run("init --json")).toMatchObject({ code: 1, stderr: expect.stringContaining("ALREADY_EXISTS") });
  const { pools } = await folder.json<{
    readonly pools: readonly { readonly name: string; readonly health: object }[];
  }>("storage pools");
  expect(pools.map(({ name }) => name)).toEqual(["clones", "thin"]);
  expect(pools[0]?.health).toMatchObject({ condition: "healthy" });
  // Also from a folder below.
  await mkdir(join(folder.path, "below"));
  expect(await folder.text("storage volumes")).toContain("There are no volumes");
});

test("volumes are made, snapshotted, taken back, resized and removed", async () => {
  const unsure = await folder.run("storage volume create disk --size 1G");
  expect(unsure).toMatchObject({ code: 2, stdout: "" });
  expect(unsure.stderr).toContain("'clones', 'thin'");
  // What fails leaves nothing that has the name.
  for (const wrong of ["create disk --size 1G --policy none", "import none.qcow2 disk --storage thin"]) {
    expect(await folder.run(`storage volume ${wrong}`)).toMatchObject({ code: 1, stdout: "" });
  }
  expect(await folder.text("storage volumes")).toContain("There are no volumes");
  expect(await folder.text("storage volume create disk --size 1G --storage thin")).toBe(
    "Volume 'disk': 1 GiB on 'thin'.\n",
  );
  await folder.text("storage snapshot create disk before");
  const inUse = await folder.run("storage volume remove disk --json");
  expect(inUse.code).toBe(1);
  expect((JSON.parse(inUse.stderr) as Failure).error).toMatchObject({
    code: "FAILED_PRECONDITION",
    blockers: [{ kind: "VolumeSnapshot", name: "before" }],
    advice: "First deal with volume snapshot 'before'.",
  });
  expect((await folder.run("storage snapshot revert before")).stderr).toContain("--yes");
  await folder.text("storage snapshot revert before --yes");
  await folder.text("storage snapshot remove before");
  expect(await folder.text("storage volume resize disk +1G")).toBe("Volume 'disk': 1 GiB -> 2 GiB.\n");
  expect(await folder.text("storage volume show disk")).toMatch(/^health +healthy\n(?:.*\n)*size +2 GiB$/m);
  expect(await folder.json("storage volume remove disk")).toEqual({ removed: "disk" });
  const gone = await folder.run("storage volume show disk --json");
  expect((JSON.parse(gone.stderr) as Failure).error).toMatchObject({ code: "NOT_FOUND", reason: "VDC_NOT_FOUND" });
});

test("an image becomes a golden volume; its clones are a tree, on paper too", async () => {
  const image = Buffer.alloc(384 * 2 ** 20);
  head.copy(image);
  randomBytes(128 * 2 ** 20).copy(image, 256 * 2 ** 20);
  await writeFile(join(folder.path, "golden.raw"), image);
  await folder.text("storage volume import golden.raw golden --format raw --storage clones");
  const made = await folder.text("storage clone golden web --count 3");
  expect(made).toMatch(/^3 linked clones of 'golden', 384 MiB: 'web-1' to 'web-3'/);
  await folder.text("storage clone web-1 deep");
  await folder.text("storage volume remove golden");
  const tree = await folder.text("storage tree --svg tree.svg");
  expect(tree).toMatch(/^golden +1 +384 MiB +129 MiB {2}removed, kept for its clones$/m);
  expect(tree).toMatch(/^├─ web-1 +2 .*\n│ {2}└─ deep +3 .*\n├─ web-2 .*\n└─ web-3 /m);
  expect(await readFile(join(folder.path, "tree.svg"), "utf8")).toContain("depth 3");
  // Who stands in the way is named as the user knows it.
  const parent = await folder.run("storage flatten web-1");
  expect(parent.stderr).toContain("error: volume 'web-1' has overlays, which read through it\n");
  expect(parent.stderr).toContain("First deal with volume 'deep'.");
  expect(await folder.text("storage flatten web-2")).toContain("'web-2' stands alone: 129 MiB of its own");
  expect(await folder.text("storage volume show web-2")).toMatch(
    /^content +linked clone of volume 'golden', flattened since$/m,
  );
  const map = await folder.text("storage volume map web-2 --svg map.svg");
  expect(map).toContain("129 MiB of 384 MiB hold data (34%)");
  expect(map).toContain("█".repeat(64));
  expect(await readFile(join(folder.path, "map.svg"), "utf8")).toContain("Data: 1 MiB at 0 B, 128 MiB at 256 MiB.");
});

test("an interrupted backup leaves nothing; a whole one is verified and restored byte for byte", async () => {
  const begun = new AbortController();
  const watcher = watch(join(folder.path, ".vdc/backup"), { recursive: true }, (_event, file) => {
    if (file?.includes("pack") === true) begun.abort();
  });
  const { child, ended } = folder.start("backup run --volumes web-2 --json");
  await Promise.race([once(begun.signal, "abort"), ended]);
  watcher.close();
  child.kill("SIGINT");
  const interrupted = await ended;
  expect(interrupted).toMatchObject({ code: 130, stdout: "" });
  expect((JSON.parse(interrupted.stderr) as Failure).error.code).toBe("CANCELLED");

  const run = await folder.text("backup run --volumes web-2");
  expect(run).toMatch(/volume 'web-2' +web-2 +full +129 MiB +129 MiB/);
  const again = await folder.json<{
    readonly points: readonly { readonly disks: readonly { readonly newBytes: number }[] }[];
  }>("backup run --volumes web-2");
  expect(again.points[0]?.disks[0]?.newBytes).toBe(0);
  const { repository } = await folder.json<{ readonly repository: object }>("backup points");
  expect(repository).toMatchObject({ recoveryPoints: 2, runs: [] });
  expect(await folder.text("backup verify")).toContain("All of it is well.");
  await folder.text("backup restore web-2 --into rescued --storage thin");
  expect((await folder.run("backup restore web-2 --into rescued")).stderr).toContain("--overwrite");
  await folder.text("storage volume export rescued rescued.qcow2 --format qcow2");
  expect(await folder.text("disk compare golden.raw rescued.qcow2 --format raw")).toBe("Both read the same.\n");
  expect(await folder.text("backup prune --keep-last 1")).toMatch(/1 removed, 1 kept/);
});

test("the manager that has the datacenter open is named; Ctrl-C ends it", async () => {
  const server = folder.start("csi serve --storage thin --socket csi.sock");
  await server.says("is served on");
  const refused = await folder.run("storage volumes --json");
  expect((JSON.parse(refused.stderr) as Failure).error).toMatchObject({
    reason: "VDC_LOCKED",
    details: { pid: server.child.pid },
  });
  server.child.kill("SIGINT");
  expect(await server.ended).toMatchObject({ code: 0 });
  expect(await readdir(folder.path)).not.toContain("csi.sock");
  const { volumes } = await folder.json<Volumes>("storage volumes");
  expect(volumes.map(({ name, state }) => `${name} ${state}`)).toEqual(
    ["deep", "rescued", "web-1", "web-2", "web-3"].map((name) => `${name} ready`),
  );
});

test("destroying it leaves the config, the backup, and no process", async () => {
  // A volume of which a backup had left a snapshot could not go.
  await folder.text("storage volume remove web-2");
  expect((await folder.run("destroy")).code).toBe(1);
  await folder.text("destroy --yes");
  expect(await folder.processes()).toEqual([]);
  expect(await readdir(join(folder.path, ".vdc"))).toEqual(["backup", "secrets.key"]);
});
