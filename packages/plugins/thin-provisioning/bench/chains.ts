import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type FioJob, runFio } from "./fio.ts";
import { type Goal, median } from "@vdc-os/testing";
import { benchFolder, type DiskServer, ourImages, qemuNbd } from "./servers.ts";

const mib = 1024 * 1024;
const diskBytes = 256 * mib;
const depth = 200;
const load: Omit<FioJob, "uri" | "totalBytes"> = { rw: "randread", blockBytes: 4096, depth: 16, sizeBytes: diskBytes };

/** Reads through many layers, against qemu-nbd on the same files, and against ourselves through one. */
export async function throughChains(rounds: number, report: (goal: Goal) => void): Promise<void> {
  const folder = benchFolder();
  const image = (layer: number): string => join(folder, `l${layer}.qcow2`);
  try {
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", image(0), String(diskBytes)]);
    execFileSync("qemu-io", ["-c", `write -P 7 0 ${diskBytes}`, image(0)]);
    for (let layer = 1; layer <= depth; layer++) {
      execFileSync("qemu-img", [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        `l${layer - 1}.qcow2`,
        "-F",
        "qcow2",
        image(layer),
      ]);
    }
    await using deep = await ourImages(folder, [`l${depth}`]);
    await using shallow = await ourImages(folder, ["l1"]);
    await using theirs = await qemuNbd(folder, image(depth), "readOnly");
    // Half a second of each: theirs is that much slower.
    const run = async (server: DiskServer, totalBytes: number, seed: number): Promise<number> =>
      (await runFio({ ...load, uri: server.uri, totalBytes, seed })).iops;
    for (const server of [deep, shallow]) await run(server, 64 * mib, 99);
    const runs: { deep: number; shallow: number; theirs: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      runs.push({
        deep: await run(deep, 64 * mib, round),
        theirs: await run(theirs, 4 * mib, round),
        shallow: await run(shallow, 64 * mib, round),
      });
    }
    const speed = (pick: (run: { deep: number; shallow: number; theirs: number }) => number): string =>
      `${(median(runs.map(pick)) / 1000).toFixed(1)} k/s`;
    report({
      name: `4 KiB random read through ${depth} layers, against qemu-nbd`,
      bound: { atLeast: 15 },
      ratios: runs.map((one) => one.deep / one.theirs),
      detail: `${speed((one) => one.deep)} against ${speed((one) => one.theirs)}`,
    });
    report({
      name: `  time for each, against ourselves through one layer`,
      bound: { atMost: 1.5 },
      ratios: runs.map((one) => one.shallow / one.deep),
      detail: `${speed((one) => one.deep)} against ${speed((one) => one.shallow)}`,
    });
    report({
      name: `  MiB in memory with ${depth} layers open`,
      bound: "shown",
      ratios: [deep.residentBytes() / mib],
      detail: `${(shallow.residentBytes() / mib).toFixed(0)} MiB with two, qemu-nbd ${(theirs.residentBytes() / mib).toFixed(0)} MiB`,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
