import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, statSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { changedBetween, check, convert, type DiskMap, openRawSource, Qcow2Image } from "@vdc-os/qcow2";
import { type Goal, median } from "@vdc-os/testing";
import { benchFolder } from "./servers.ts";

const mib = 1024 * 1024;
const gib = 1024 * mib;
const diskBytes = 10 * gib;
const dataBytes = gib;
const units = (1024 * gib) / 65536;

async function timed(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** The processor's time of something that takes milliseconds: what else the machine does matters less for that than for the time of the clock. */
function processorTime(run: () => unknown): number {
  const start = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}

/** Converting and checking, against qemu-img: in this process, against a whole one of theirs, whose start takes some milliseconds. Neither syncs. */
export async function images(rounds: number, report: (goal: Goal) => void): Promise<void> {
  const folder = benchFolder();
  const [raw, qcow2, target] = ["source.raw", "source.qcow2", "target"].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  try {
    const fd = openSync(raw, "w");
    const block = randomBytes(mib);
    for (let at = 0; at < diskBytes; at += diskBytes / (dataBytes / mib))
      writeSync(fd, block, 0, mib, Math.floor(at / mib) * mib);
    closeSync(fd);
    truncateSync(raw, diskBytes);
    const qemu = (...args: string[]): Promise<number> => timed(() => execFileSync("qemu-img", args));
    await qemu("convert", "-f", "raw", "-O", "qcow2", raw, qcow2);
    const ours = {
      "raw to qcow2": async (): Promise<void> => {
        const source = await openRawSource(raw);
        await convert(source, { format: "qcow2", path: target }, { durable: false });
        await source.close();
      },
      "qcow2 to raw": async (): Promise<void> => {
        await using source = await Qcow2Image.open(qcow2, { readOnly: true });
        await convert(source, { format: "raw", path: target }, { durable: false });
      },
      check: async (): Promise<void> => {
        await check(qcow2);
      },
    };
    const theirs = {
      "raw to qcow2": () => qemu("convert", "-f", "raw", "-O", "qcow2", raw, target),
      "qcow2 to raw": () => qemu("convert", "-f", "qcow2", "-O", "raw", qcow2, target),
      check: () => qemu("check", "-q", qcow2),
    };
    /** From a file system that has nothing left to write of the run before. */
    const settled = async (run: () => Promise<unknown>): Promise<number> => {
      rmSync(target, { force: true });
      execFileSync("sync", ["-f", folder]);
      const start = performance.now();
      await run();
      return performance.now() - start;
    };
    for (const name of Object.keys(ours) as (keyof typeof ours)[]) {
      const runs: { ours: number; theirs: number }[] = [];
      // The first run is the compiler's.
      await settled(ours[name]);
      for (let round = 0; round < rounds; round++) {
        const mine = await settled(ours[name]);
        runs.push({ ours: mine, theirs: await settled(theirs[name]) });
      }
      const ms = (pick: "ours" | "theirs"): string => `${median(runs.map((run) => run[pick])).toFixed(0)} ms`;
      report({
        name: `${name}, 10 GiB with 1 GiB of data, against qemu-img`,
        bound: { atLeast: 1 },
        ratios: runs.map((run) => run.theirs / run.ours),
        detail: `${ms("ours")} against ${ms("theirs")}; the image has ${(statSync(qcow2).size / mib).toFixed(0)} MiB`,
      });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Finding what changed between two moments of a disk of 1 TiB, against comparing two buffers of the maps' size. */
export async function changedBlocks(rounds: number, report: (goal: Goal) => void): Promise<void> {
  const map = (): DiskMap => ({
    sizeBytes: units * 65536,
    unitBytes: 65536,
    units: Float64Array.from({ length: units }, (_, unit) => unit * 65536),
  });
  const [before, same] = [map(), map()];
  const [left, right] = [before, same].map(({ units: { buffer } }) => Buffer.from(buffer)) as [Buffer, Buffer];
  for (const every of [200, 1000, 100_000]) {
    const after = map();
    // Here and there.
    for (let unit = 5; unit < units; unit += every) after.units[unit] = -1;
    // The first pass is the compiler's.
    changedBetween(before, after);
    const runs: { ours: number; plain: number }[] = [];
    for (let round = 0; round < Math.max(rounds, 9); round++) {
      const plain = processorTime(() => left.compare(right));
      const ours = processorTime(() => changedBetween(before, after));
      runs.push({ ours, plain });
    }
    const ms = (pick: "ours" | "plain"): string => `${median(runs.map((run) => run[pick])).toFixed(1)} ms`;
    report({
      name: `changed blocks between two maps of 1 TiB, 1 in ${every.toLocaleString("en")} changed, against comparing them`,
      bound: { atMost: 3 },
      ratios: runs.map((run) => run.ours / run.plain),
      detail: `${ms("ours")} of the processor's time against ${ms("plain")}`,
    });
  }
}
