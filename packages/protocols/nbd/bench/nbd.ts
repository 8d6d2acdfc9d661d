import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { peers, RunningPeer } from "./nbd-peers.ts";

// Compares servers on the same raw file with fio, in interleaved rounds: `node nbd.ts --folder /dev/shm --rounds 3 --seconds 2`.
// Absolute numbers depend on the machine; the ratios within a round are what counts.

const { values: options } = parseArgs({
  options: {
    folder: { type: "string", default: tmpdir() },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "2" },
    only: { type: "string", default: "" },
    loads: { type: "string", default: "" },
  },
});

const MIB = 1024 * 1024;
const SIZE_MIB = 512;

const loads: Readonly<Record<string, readonly string[]>> = {
  "4k write QD1": ["--rw=randwrite", "--bs=4k", "--iodepth=1"],
  "4k write QD16": ["--rw=randwrite", "--bs=4k", "--iodepth=16"],
  "4k read QD16": ["--rw=randread", "--bs=4k", "--iodepth=16"],
  "4k read QD32": ["--rw=randread", "--bs=4k", "--iodepth=32"],
  "1M write QD4": ["--rw=write", "--bs=1m", "--iodepth=4"],
  "1M read QD4": ["--rw=read", "--bs=1m", "--iodepth=4"],
};

interface Sample {
  readonly iops: number;
  readonly cpuPerOp: number;
}

async function measure(load: readonly string[], command: readonly [string, ...string[]], socket: string) {
  const peer = await RunningPeer.start(command, socket);
  try {
    const before = peer.cpuMicroseconds();
    const fio = spawnSync("fio", [
      ...["--name=load", "--ioengine=nbd", `--uri=nbd+unix:///?socket=${socket}`, `--size=${SIZE_MIB}m`],
      ...["--time_based", `--runtime=${options.seconds}`, "--output-format=json", ...load],
    ]);
    const text = fio.stdout.toString("utf8");
    const [job] = JSON.parse(text.slice(text.indexOf("{"))).jobs;
    const side = job.read.total_ios > 0 ? job.read : job.write;
    return { iops: side.iops, cpuPerOp: (peer.cpuMicroseconds() - before) / side.total_ios } satisfies Sample;
  } finally {
    await peer.stop();
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

const folder = mkdtempSync(join(options.folder, "nbd-bench-"));
try {
  const file = join(folder, "disk.raw");
  const fd = openSync(file, "w");
  const fill = Buffer.alloc(MIB, "not zero ");
  for (let written = 0; written < SIZE_MIB; written++) writeSync(fd, fill);
  closeSync(fd);
  const chosen = peers.filter(({ name }) => name.includes(options.only) || options.only === "");
  for (const [title, load] of Object.entries(loads)) {
    if (!title.includes(options.loads)) continue;
    const samples = new Map<string, Sample[]>(chosen.map(({ name }) => [name, []]));
    for (let round = 0; round < Number(options.rounds); round++) {
      for (const { name, command } of chosen) {
        const socket = join(folder, "s");
        samples.get(name)?.push(await measure(load, command(socket, file), socket));
      }
    }
    const ours = median((samples.get("ours raw") ?? []).map(({ iops }) => iops));
    for (const [name, runs] of samples) {
      const iops = median(runs.map((run) => run.iops));
      const cpu = median(runs.map((run) => run.cpuPerOp)).toFixed(1);
      const text = `${title.padEnd(14)} ${name.padEnd(13)} ${iops.toFixed(0).padStart(8)} op/s ${cpu.padStart(7)} us/op`;
      console.log(`${text}   ours/this ${(ours / iops).toFixed(2)}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
