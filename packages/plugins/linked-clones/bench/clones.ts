/**
 * Durable linked clones through all of it (this plugin, the state store, thin provisioning), against a process of `qemu-img create -b` for each.
 *
 * `node bench/clones.ts`; `--rounds=N`. The file system is that of `VDC_BENCH_FOLDER`, or of the system's temporary folder.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mib, openDatacenter } from "../test/test-datacenter.ts";

const sequential = 40;
const parallel = 320;
const inFlight = 16;

const rounds = Number(process.argv.find((arg) => arg.startsWith("--rounds="))?.slice(9) ?? 5);
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
  const together = async (): Promise<void> => {
    let left = parallel;
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
    runs.push({ one: median(one), theirs: median(theirs), each: (await timed(together)) / parallel });
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
} finally {
  rmSync(folder, { recursive: true, force: true });
}
