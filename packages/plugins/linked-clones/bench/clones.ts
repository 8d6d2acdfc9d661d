/**
 * Durable linked clones through all of it (this plugin, the state store, thin provisioning), against a process of `qemu-img create -b` for each; then
 * 10,000 of one parent, where the last thousands may take 1.3 times as long as the first.
 *
 * `node bench/clones.ts`; `--rounds=N`; `--many=N`; `--gate` exits with 1 when the budget is not kept. The file system is that of `VDC_BENCH_FOLDER`, or of
 * the system's temporary folder.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mib, openDatacenter } from "../test/test-datacenter.ts";

const sequential = 40;
const parallel = 320;
const inFlight = 16;

/** How much longer the last thousands of a parent's clones may take than the first: medians of three each. */
const flatness = 1.3;

const option = (name: string): string | undefined =>
  process.argv.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
const rounds = Number(option("rounds") ?? 5);
const many = Number(option("many") ?? 10_000);
const folder = mkdtempSync(join(process.env.VDC_BENCH_FOLDER ?? tmpdir(), "vdc-bench-"));

async function timed(run: () => unknown): Promise<number> {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] as number;
}

try {
  await using datacenter = await openDatacenter(folder);
  const { volumeId } = await datacenter.clones.createVolume({ name: "parent", capacityBytes: 10 * mib });
  const facet = await datacenter.clones.facet("clones");
  if (!facet.available) throw new Error(facet.reason);
  const source = { kind: "volume", volumeId } as const;
  let made = 0;
  const clone = (): Promise<unknown> => facet.operations.cloneVolume({ name: `c-${made++}`, source, want: "linked" });
  const together = async (count: number): Promise<void> => {
    let left = count;
    const lane = async (): Promise<void> => {
      while (left-- > 0) await clone();
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
  };
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", join(folder, "base.qcow2"), "10M"]);
  const create = (name: string): void => {
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", join(folder, name)]);
  };
  for (let warm = 0; warm < 100; warm++) await clone();
  const runs: { one: number; each: number; theirs: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    const [one, theirs]: [number[], number[]] = [[], []];
    for (let index = 0; index < sequential; index++) one.push(await timed(clone));
    for (let index = 0; index < sequential / 2; index++) theirs.push(await timed(() => create(`${round}-${index}`)));
    runs.push({ one: median(one), theirs: median(theirs), each: (await timed(() => together(parallel))) / parallel });
  }
  const line = (name: string, pick: "one" | "each"): void => {
    const ratios = runs.map((run) => run.theirs / run[pick]);
    const [low, high] = [Math.min(...ratios).toFixed(1), Math.max(...ratios).toFixed(1)];
    const [ours, theirs] = [median(runs.map((run) => run[pick])), median(runs.map((run) => run.theirs))];
    const detail = `${ours.toFixed(2)} ms against ${theirs.toFixed(2)} ms`;
    console.log(`${name.padEnd(50)} ${median(ratios).toFixed(1)} (${low}-${high})  [${detail}]`);
  };
  line("linked clone with its records, one after the other", "one");
  line(`  with ${inFlight} in flight, for each`, "each");

  const { volumeId: golden } = await datacenter.clones.createVolume({ name: "golden", capacityBytes: 10 * mib });
  const ofGolden = { kind: "volume", volumeId: golden } as const;
  const thousands: number[] = [];
  const before = process.memoryUsage().rss;
  for (let done = 0; done < many; done += 1000) {
    const one = (index: number): Promise<unknown> =>
      facet.operations.cloneVolume({ name: `golden-${done + index}`, source: ofGolden, want: "linked" });
    let next = 0;
    const lane = async (): Promise<void> => {
      while (next < 1000) await one(next++);
    };
    thousands.push((await timed(() => Promise.all(Array.from({ length: inFlight }, lane)))) / 1000);
  }
  const [first, last] = [median(thousands.slice(0, 3)), median(thousands.slice(-3))];
  const memory = (process.memoryUsage().rss - before) / many / 1024;
  const isFlat = last / first <= flatness;
  console.log(
    `the last thousands of ${many} clones against the first ${(last / first).toFixed(2)}, <= ${flatness} ${isFlat ? "ok" : "short"}  [${thousands
      .map((ms) => ms.toFixed(2))
      .join(" ")} ms each; ${memory.toFixed(1)} KiB of memory each]`,
  );
  const lineage = await datacenter.clones.facet("lineage");
  if (!lineage.available) throw new Error(lineage.reason);
  const { children } = await lineage.operations.getLineage({ volumeId: golden });
  if (children.length !== many) throw new Error(`the parent has ${children.length} children`);
  if (!isFlat && process.argv.includes("--gate")) process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
