import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import { expect, it } from "vitest";
import { ThinPool } from "../src/thin-pool.ts";
import { hostsOf } from "./test-host.ts";

const churn = fileURLToPath(new URL("./churn-process.ts", import.meta.url));
/** How long a run may take until it comes to its call. */
const longestMs = 120_000;
const isDeep = process.env.VDC_DEEP !== undefined;

/** The calls that change files for good. A kill comes on entering one: it is not done. */
const calls = ["fsync", "fdatasync", "rename", "link", "unlink", "pwrite64", "ftruncate", "mkdir"];

const hasStrace = ((): boolean => {
  if (spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0) return true;
  const why = "strace is absent or may not trace here: kills at chosen system calls are SKIPPED";
  if (process.env.CI) throw new Error(why);
  console.warn(why);
  return false;
})();

/** Runs the pool until a thread of it enters a call for the n-th time, which kills all of it. Returns what it had said. */
async function runUntil(directory: string, run: string, call: string, nth: number): Promise<readonly string[]> {
  const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=SIGKILL:when=${nth}`];
  const command = [process.execPath, churn, directory, run];
  const child = spawn("strace", ["-f", "-qq", "-o", "/dev/null", ...inject, ...command], {
    stdio: ["ignore", "pipe", "ignore"],
    detached: true,
    // One thread for what is asynchronous, so that its calls are counted together.
    env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
  });
  const { pid } = child;
  let isOverdue = false;
  const overdue = setTimeout(() => {
    isOverdue = true;
    // Both at once: what is watched would go on alone.
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  }, longestMs);
  try {
    const [said, [code, signal]] = await Promise.all([text(child.stdout), once(child, "exit")]);
    expect([signal ?? code, isOverdue], `${call} ${nth}`).toEqual(["SIGKILL", false]);
    return said.split("\n").slice(0, -1);
  } finally {
    clearTimeout(overdue);
  }
}

it.skipIf(!hasStrace)(
  "has what was acknowledged, and nothing half made, wherever among its system calls it is killed",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "vdc-syscall-"));
    let kills = 0;
    try {
      const [steps, stride] = isDeep ? [8, 7] : [1, 1];
      for (const [index, call] of calls.entries()) {
        for (let step = 0; step < steps; step++) {
          const directory = join(folder, `${call}-${step}`);
          // The first calls make the pool, so later ones are more telling.
          const nth = call === "mkdir" || call === "ftruncate" ? 2 + step : 5 + 3 * index + step * stride;
          const present = new Set<string>();
          const deleting = new Set<string>();
          for (const line of await runUntil(directory, "0", call, nth)) {
            const [what, id = ""] = line.split(" ");
            if (what === "made") present.add(id);
            else if (what === "deleting") deleting.add(id);
            else present.delete(id);
          }
          await verify(directory, present, deleting);
          kills++;
          rmSync(directory, { recursive: true, force: true });
        }
      }
      console.log(
        `kill points of a pool tried: ${kills} at chosen system calls (${calls.join(", ")}), each with what was acknowledged and nothing half made`,
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  300_000,
);

async function verify(directory: string, present: ReadonlySet<string>, deleting: ReadonlySet<string>): Promise<void> {
  const pool = await ThinPool.open({ name: "fast", directory, hosts: hostsOf([]) });
  try {
    const { catalog, layout } = pool;
    expect(catalog.damaged).toEqual([]);
    await catalog.filesMade();
    expect(readdirSync(layout.trash)).toEqual([]);
    const found = new Set<string>();
    const folders: string[] = [];
    for (const { volumeId, record } of catalog.entries) {
      folders.push(volumeId);
      found.add(volumeId);
      expect([record.pending, record.changing]).toEqual([undefined, undefined]);
      const { snapshots = [] } = record;
      for (const { snapshotId, deleted } of snapshots) if (deleted !== true) found.add(snapshotId);
      const layers = snapshots.map(({ snapshotId }) => `${snapshotId}.qcow2`);
      const files = readdirSync(layout.volume(volumeId)).filter((name) => !name.endsWith(".lock"));
      expect(files.sort()).toEqual(["disk.qcow2", "volume.json", ...layers].sort());
      for (const name of ["disk.qcow2", ...layers]) {
        const path = join(layout.volume(volumeId), name);
        const options = { readOnly: true, lock: false, resolveBacking: backingFolder(layout.volumes) };
        await using image = await Qcow2Image.open(path, options);
        expect((await image.check()).corruptions).toBe(0);
      }
    }
    expect(readdirSync(layout.volumes).sort()).toEqual(folders.sort());
    for (const id of present) expect(found.has(id) || deleting.has(id), id).toBe(true);
    for (const id of deleting) if (!present.has(id)) expect(found.has(id), id).toBe(false);
  } finally {
    pool.close();
  }
}
