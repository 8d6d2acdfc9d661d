import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createImageSync, lockPathOf, Qcow2Image } from "../src/index.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "qcow2-claims-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const token = (digit: string): string => digit.repeat(24);

test("what a killed process left beside an image goes with the next claim, and what stands stays", async () => {
  const path = join(folder, "disk.qcow2");
  createImageSync({ path, virtualSizeBytes: 1 << 20 });
  const lock = lockPathOf(path);
  const gone = spawnSync(process.execPath, ["-e", ""]).pid;
  writeFileSync(`${lock}.${token("a")}`, `${gone}\nsome-boot\n1\n${token("a")}\n`);
  writeFileSync(`${lock}.${token("b")}.stale`, `${gone}\nsome-boot\n1\n${token("b")}\n`);
  // One that was never filled in, long ago; and one that is being made just now.
  writeFileSync(`${lock}.${token("c")}`, "");
  utimesSync(`${lock}.${token("c")}`, new Date(0), new Date(0));
  writeFileSync(`${lock}.${token("d")}`, "");
  writeFileSync(join(folder, ".disk.qcow2.lock.mine"), "");

  await using image = await Qcow2Image.open(path);
  expect(image.sizeBytes).toBe(1 << 20);
  expect(readFileSync(lock, "utf8").startsWith(`${process.pid}\n`)).toBe(true);
  expect(readdirSync(folder).sort()).toEqual(
    [".disk.qcow2.lock", `.disk.qcow2.lock.${token("d")}`, ".disk.qcow2.lock.mine", "disk.qcow2"].sort(),
  );
});

test("a claim of a process that is dead, but that nobody has asked after yet, is nobody's", async () => {
  const path = join(folder, "disk.qcow2");
  createImageSync({ path, virtualSizeBytes: 1 << 20 });
  const lock = lockPathOf(path);
  // What the shell becomes never asks after the child that it had: one that ends sooner the shell itself asks after. So the child ends when it is told to.
  const program = "cat <&3 >/dev/null & echo $!; exec 3<&-; exec sleep 60";
  const parent = spawn("sh", ["-c", program], { stdio: ["ignore", "pipe", "ignore", "pipe"] });
  try {
    const [line] = (await once(parent.stdout as Readable, "data")) as [Buffer];
    const pid = Number(line.toString());
    const stat = (): readonly string[] =>
      readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /, "")
        .split(" ");
    await expect.poll(() => readFileSync(`/proc/${parent.pid}/comm`, "utf8")).toBe("sleep\n");
    (parent.stdio[3] as Writable).end();
    await expect.poll(() => stat()[0]).toBe("Z");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    writeFileSync(lock, `${pid}\n${boot}\n${stat()[19]}\n${token("a")}\n`);
    writeFileSync(`${lock}.${token("b")}`, `${pid}\n${boot}\n${stat()[19]}\n${token("b")}\n`);
    await using image = await Qcow2Image.open(path);
    expect(image.sizeBytes).toBe(1 << 20);
    expect(readdirSync(folder).sort()).toEqual([".disk.qcow2.lock", "disk.qcow2"]);
  } finally {
    parent.kill("SIGKILL");
  }
});
