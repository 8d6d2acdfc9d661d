import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type FioJob, runFio } from "./fio.ts";
import { type Goal, median } from "@vdc-os/testing";
import { benchFolder, type DiskServer, exportOf, ourImages, qemuStorageDaemon } from "./servers.ts";

const mib = 1024 * 1024;
const diskBytes = 256 * mib;
const hotLoad: Omit<FioJob, "uri"> = {
  rw: "randread",
  blockBytes: 4096,
  depth: 4,
  sizeBytes: 32 * mib,
  totalBytes: 64 * mib,
};
const coldLoad: Omit<FioJob, "uri"> = {
  rw: "randread",
  blockBytes: 4096,
  depth: 8,
  sizeBytes: diskBytes,
  totalBytes: 1024 * mib,
};

/** Drops a file's clean pages from the page cache. */
function makeCold(path: string): void {
  execFileSync("dd", [`of=${path}`, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none"]);
}

/** How long a disk's cached reads take at the worst while another disk of the same process is read that is not cached. */
export async function besideAColdDisk(rounds: number, report: (goal: Goal) => void): Promise<void> {
  const folder = benchFolder();
  const cold = join(folder, "cold.qcow2");
  try {
    for (const name of ["hot", "cold"]) {
      const path = join(folder, `${name}.qcow2`);
      execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", path, String(diskBytes)]);
      execFileSync("qemu-io", ["-c", `write -P 7 0 ${diskBytes}`, "-c", "flush", path]);
    }
    await using ours = await ourImages(folder, ["hot", "cold"]);
    await using theirs = await qemuStorageDaemon(folder, ["hot", "cold"]);
    const alone = async (server: DiskServer, seed: number): Promise<number> =>
      (await runFio({ ...hotLoad, uri: exportOf(server, "hot"), seed })).p99;
    const beside = async (server: DiskServer, seed: number): Promise<number> => {
      makeCold(cold);
      const other = runFio({ ...coldLoad, uri: exportOf(server, "cold"), seed, timeoutSeconds: 2 });
      const p99 = await alone(server, seed);
      await other;
      return p99;
    };
    await alone(ours, 99);
    await alone(theirs, 99);
    const runs: Record<"oursAlone" | "oursBeside" | "theirsBeside", number>[] = [];
    for (let round = 0; round < rounds; round++) {
      runs.push({
        oursAlone: await alone(ours, round),
        oursBeside: await beside(ours, round),
        theirsBeside: await beside(theirs, round),
      });
    }
    const of = (pick: keyof (typeof runs)[number]): string => `${median(runs.map((run) => run[pick])).toFixed(0)} us`;
    report({
      name: "p99 of cached reads beside a cold disk, against alone",
      bound: { atMost: 3 },
      ratios: runs.map((run) => run.oursBeside / run.oursAlone),
      detail: `${of("oursBeside")} against ${of("oursAlone")}`,
    });
    report({
      name: "  against qemu-storage-daemon",
      bound: { atMost: 1 },
      ratios: runs.map((run) => run.oursBeside / run.theirsBeside),
      detail: `${of("oursBeside")} against ${of("theirsBeside")}`,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
