import { execFileSync } from "node:child_process";
import { rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type FioJob, type FioResult, runFio } from "./fio.ts";
import { type Goal, median } from "@vdc-os/testing";
import { benchFolder, type DiskServer, nbdkitFile, OurPool, qemuNbd } from "./servers.ts";

const mib = 1024 * 1024;
const diskBytes = 512 * mib;

type Load = Omit<FioJob, "uri">;

const small = { blockBytes: 4096, sizeBytes: diskBytes, totalBytes: 96 * mib } as const;
const large = { blockBytes: mib, sizeBytes: diskBytes, totalBytes: diskBytes } as const;

interface Case {
  readonly name: string;
  readonly load: Load;
  /** Each round on a new volume. */
  readonly fresh: boolean;
  readonly speed: number;
  /** Of a server's processor time for an operation. */
  readonly cpu?: number;
  /**
   * In how many turns each round is done, with nothing left to be written back before the first one. Where a disk's own time counts, it must be the same disk for both: what cases
   * before have left in the page cache is written at some moment, and others use the disk as well.
   */
  readonly turns?: number;
}

/** What is measured against qemu-nbd on a qcow2 image of the same size. */
const cases: readonly Case[] = [
  {
    name: "4 KiB random write, fresh thin, depth 16",
    load: { ...small, rw: "randwrite", depth: 16 },
    fresh: true,
    speed: 2,
    cpu: 0.4,
  },
  {
    name: "4 KiB random overwrite, depth 16",
    load: { ...small, rw: "randwrite", depth: 16 },
    fresh: false,
    speed: 2,
    cpu: 0.4,
  },
  {
    name: "4 KiB random overwrite, depth 32",
    load: { ...small, rw: "randwrite", depth: 32 },
    fresh: false,
    speed: 2,
    cpu: 0.4,
  },
  {
    name: "4 KiB random read, depth 32",
    load: { ...small, rw: "randread", depth: 32 },
    fresh: false,
    speed: 1.8,
    cpu: 0.4,
  },
  {
    name: "4 KiB write and flush each, depth 1",
    load: { ...small, rw: "randwrite", depth: 1, totalBytes: mib, flushEvery: 1 },
    fresh: false,
    speed: 1,
    turns: 8,
  },
  { name: "1 MiB sequential write", load: { ...large, rw: "write", depth: 4 }, fresh: true, speed: 1.25 },
  { name: "1 MiB sequential read", load: { ...large, rw: "read", depth: 4 }, fresh: false, speed: 1.5 },
];

interface Run {
  readonly result: FioResult;
  /** Processor time of the server for one operation, in microseconds. */
  readonly cpu: number;
}

async function load(server: DiskServer, job: Load): Promise<Run> {
  const before = server.cpuMicroseconds();
  const result = await runFio({ ...job, uri: server.uri });
  return { result, cpu: (server.cpuMicroseconds() - before) / result.operations };
}

/** Fills a disk, so that all of it is allocated. */
async function fill(server: DiskServer): Promise<void> {
  await runFio({
    uri: server.uri,
    rw: "write",
    blockBytes: mib,
    depth: 4,
    sizeBytes: diskBytes,
    totalBytes: diskBytes,
  });
}

/** Our storage process against qemu-nbd, both on qcow2 images on the same file system: the cases whose names hold a word. */
export async function againstQemuNbd(rounds: number, report: (goal: Goal) => void, word: string): Promise<void> {
  const folder = benchFolder();
  await using pool = await OurPool.open();
  const image = (name: string): string => join(folder, `${name}.qcow2`);
  const makeImage = (name: string): string => {
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", image(name), String(diskBytes)]);
    return image(name);
  };
  try {
    await using ours = await pool.serve(await pool.create("filled", diskBytes));
    await using theirs = await qemuNbd(folder, makeImage("filled"));
    await fill(ours);
    await fill(theirs);
    for (const { name, load: job, fresh, speed, cpu, turns } of cases) {
      if (!name.includes(word)) continue;
      const runs: { readonly ours: Run; readonly theirs: Run }[] = [];
      if (turns !== undefined) execFileSync("sync");
      for (let round = 0; round < rounds * (turns ?? 1); round++) {
        const mine = async (): Promise<Run> => {
          if (!fresh) return load(ours, { ...job, seed: round });
          const volumeId = await pool.create(`${name.replace(/[^a-z0-9]+/gi, "-")}-${round}`.toLowerCase(), diskBytes);
          try {
            await using server = await pool.serve(volumeId);
            return await load(server, { ...job, seed: round });
          } finally {
            await pool.remove(volumeId);
          }
        };
        const his = async (): Promise<Run> => {
          if (!fresh) return load(theirs, { ...job, seed: round });
          const path = makeImage("fresh");
          try {
            await using server = await qemuNbd(folder, path);
            return await load(server, { ...job, seed: round });
          } finally {
            rmSync(path);
          }
        };
        // Who goes second may find what the first has left to be written back.
        if (round % 2 === 0) runs.push({ ours: await mine(), theirs: await his() });
        else runs.push(await his().then(async (first) => ({ theirs: first, ours: await mine() })));
      }
      report({
        name: `${name}, against qemu-nbd`,
        bound: { atLeast: speed },
        ratios: runs.map((run) => run.ours.result.iops / run.theirs.result.iops),
        detail: `${speedOf(
          job,
          runs.map((run) => run.ours.result),
        )} against ${speedOf(
          job,
          runs.map((run) => run.theirs.result),
        )}`,
      });
      if (cpu === undefined) continue;
      report({
        name: `  processor time for each`,
        bound: { atMost: cpu },
        ratios: runs.map((run) => run.ours.cpu / run.theirs.cpu),
        detail: `${median(runs.map((run) => run.ours.cpu)).toFixed(1)} us against ${median(runs.map((run) => run.theirs.cpu)).toFixed(1)} us`,
      });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Our storage process on a qcow2 image, against nbdkit's plugin for raw files. */
export async function againstNbdkit(rounds: number, report: (goal: Goal) => void): Promise<void> {
  const folder = benchFolder();
  await using pool = await OurPool.open();
  const raw = join(folder, "disk.raw");
  try {
    writeFileSync(raw, "");
    truncateSync(raw, diskBytes);
    await using ours = await pool.serve(await pool.create("filled", diskBytes));
    await using theirs = await nbdkitFile(folder, raw);
    await fill(ours);
    await fill(theirs);
    const loads: readonly { readonly name: string; readonly job: Load; readonly speed: number }[] = [
      { name: "4 KiB random overwrite, depth 32", job: { ...small, rw: "randwrite", depth: 32 }, speed: 1 },
      { name: "4 KiB random read, depth 32", job: { ...small, rw: "randread", depth: 32 }, speed: 1 },
      { name: "1 MiB sequential read", job: { ...large, rw: "read", depth: 4 }, speed: 0.6 },
    ];
    for (const { name, job, speed } of loads) {
      const runs: { readonly ours: FioResult; readonly theirs: FioResult }[] = [];
      for (let round = 0; round < rounds; round++) {
        const mine = await load(ours, { ...job, seed: round });
        const his = await load(theirs, { ...job, seed: round });
        runs.push({ ours: mine.result, theirs: his.result });
      }
      report({
        name: `${name}, against nbdkit on a raw file`,
        bound: { atLeast: speed },
        ratios: runs.map((run) => run.ours.iops / run.theirs.iops),
        detail: `${speedOf(
          job,
          runs.map((run) => run.ours),
        )} against ${speedOf(
          job,
          runs.map((run) => run.theirs),
        )}`,
      });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function speedOf(job: Load, results: readonly FioResult[]): string {
  const middle = median(results.map(({ iops }) => iops));
  return job.blockBytes >= mib
    ? `${(middle * (job.blockBytes / mib)).toFixed(0)} MiB/s`
    : `${(middle / 1000).toFixed(1)} k/s`;
}
