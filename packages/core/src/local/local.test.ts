import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import {
  findProcessesByEnvironment,
  identifyProcess,
  isRunning,
  killProcess,
  removeUnfinishedWrites,
  writeFileAtomic,
} from "./index.ts";

describe("writeFileAtomic", () => {
  it("replaces a file that only its owner may read, and leaves nothing else", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vdc-local-"));
    try {
      const path = join(folder, "record.json");
      await Promise.all([writeFileAtomic(path, "one"), writeFileAtomic(path, "two")]);
      await writeFileAtomic(path, "three");
      expect(await readFile(path, "utf8")).toBe("three");
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      expect(await readdir(folder)).toEqual(["record.json"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("has what a killed writer left removed, and nothing else", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vdc-local-"));
    try {
      for (const name of ["record.json", "record.json.17-1.tmp", "record.json.mine.tmp", "other.json.17-1.tmp"]) {
        await writeFile(join(folder, name), "");
      }
      await removeUnfinishedWrites(join(folder, "record.json"));
      expect((await readdir(folder)).sort()).toEqual(["other.json.17-1.tmp", "record.json", "record.json.mine.tmp"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe.runIf(process.platform === "linux")("processes", () => {
  it("are found by their environment, and killed by their identity", async () => {
    const value = `local-test-${process.pid}-${performance.now()}`;
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], {
      env: { VDC_LOCAL_TEST: value },
      stdio: "ignore",
      detached: true,
    });
    const exited = once(child, "exit");
    await once(child, "spawn");
    const [found] = await findProcessesByEnvironment("VDC_LOCAL_TEST", value);
    expect(found).toMatchObject({ pid: child.pid, sessionLeader: true });
    expect(await findProcessesByEnvironment("VDC_LOCAL_TEST", value.slice(0, -1))).toEqual([]);
    if (found === undefined) throw new Error("it was not found");
    expect(await isRunning({ ...found, startTicks: found.startTicks + 1 })).toBe(false);
    expect(await killProcess(found)).toBe(true);
    await exited;
    expect(await identifyProcess(found.pid)).toBeUndefined();
  });

  it("are found by any of their threads: the environment of the first goes with it", async () => {
    if (spawnSync("python3", ["--version"]).status !== 0) {
      if (process.env.CI) throw new Error("python3 is needed for this test");
      console.warn("SKIPPED: a process whose first thread has ended: there is no python3 here");
      return;
    }
    const value = `local-test-${process.pid}-${performance.now()}`;
    const program = [
      "import ctypes, threading, time",
      "threading.Thread(target=time.sleep, args=(600,)).start()",
      "print(flush=True)",
      "ctypes.CDLL(None).pthread_exit(None)",
    ];
    const child = spawn("python3", ["-c", program.join("\n")], {
      env: { ...process.env, VDC_LOCAL_TEST: value },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    await once(child.stdout, "data");
    const pid = child.pid as number;
    await vi.waitFor(async () => expect(await readFile(`/proc/${pid}/stat`, "latin1")).toMatch(/\) Z /));
    const [found] = await findProcessesByEnvironment("VDC_LOCAL_TEST", value);
    expect(found).toMatchObject({ pid });
    if (found === undefined) throw new Error("it was not found");
    expect(await killProcess(found)).toBe(true);
    await exited;
    expect(await findProcessesByEnvironment("VDC_LOCAL_TEST", value)).toEqual([]);
  });

  it("are found while one program takes the place of another", async () => {
    const value = `local-test-${process.pid}-${performance.now()}`;
    const again = 'exec sh -c "$0" "$0"';
    const child = spawn("sh", ["-c", again, again], {
      env: { ...process.env, VDC_LOCAL_TEST: value },
      stdio: "ignore",
    });
    const exited = once(child, "exit");
    await once(child, "spawn");
    const end = performance.now() + (process.env.VDC_DEEP ? 20_000 : 300);
    do {
      expect(await findProcessesByEnvironment("VDC_LOCAL_TEST", value)).toMatchObject([{ pid: child.pid }]);
    } while (performance.now() < end);
    child.kill("SIGKILL");
    await exited;
  });

  it("are found though they fork, and end, as fast as they can", async () => {
    const value = `local-test-${process.pid}-${performance.now()}`;
    const again = 'sh -c "$0" "$0" &';
    const child = spawn("sh", ["-c", again, again], {
      env: { ...process.env, VDC_LOCAL_TEST: value },
      stdio: "ignore",
    });
    await once(child, "exit");
    let left = await findProcessesByEnvironment("VDC_LOCAL_TEST", value);
    expect(left).not.toEqual([]);
    for (; left.length > 0; left = await findProcessesByEnvironment("VDC_LOCAL_TEST", value)) {
      await Promise.all(left.map(killProcess));
    }
  });
});
