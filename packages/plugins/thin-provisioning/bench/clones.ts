import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { createOperationContext } from "@vdc-os/core";
import { type Goal, median } from "@vdc-os/testing";
import { benchFolder, OurPool } from "./servers.ts";

const gib = 1024 * 1024 * 1024;
const sequential = 20;
const parallel = 160;
const inFlight = 16;
const many = 10_000;

/** Durable linked clones as a datacenter makes them, against a process of qemu-img for each, which syncs as well. */
export async function linkedClones(rounds: number, report: (goal: Goal) => void): Promise<void> {
  const folder = benchFolder();
  await using pool = await OurPool.open();
  try {
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", join(folder, "base.qcow2"), String(10 * gib)]);
    const volumeId = await pool.create("parent", 10 * gib);
    let made = 0;
    const clone = async (): Promise<string> => {
      const input = { name: `clone-${made++}`, parent: { kind: "volume", volumeId } } as const;
      return (await pool.provider.facets.layering.createOverlay(input, createOperationContext())).volumeId;
    };
    const create = (name: string): void => {
      const args = ["create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", join(folder, name)];
      execFileSync("qemu-img", args);
    };
    const timed = async (run: () => unknown): Promise<number> => {
      const start = performance.now();
      await run();
      return performance.now() - start;
    };
    const together = async (count: number): Promise<number> => {
      let left = count;
      return timed(() =>
        Promise.all(
          Array.from({ length: inFlight }, async () => {
            while (left-- > 0) await clone();
          }),
        ),
      );
    };
    for (let warm = 0; warm < 100; warm++) await clone();
    const runs: { one: number; together: number; single: number; used: number; theirs: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const [one, single, used, theirs] = [[], [], [], []] as [number[], number[], number[], number[]];
      await pool.filesMade();
      for (let index = 0; index < sequential; index++) one.push(await timed(clone));
      for (let index = 0; index < sequential; index++) theirs.push(await timed(() => create(`${round}-${index}`)));
      for (let index = 0; index < sequential; index++) {
        // After each of theirs: all caches are cold, and the processor comes from a pause.
        create(`${round}-${index}-single`);
        single.push(await timed(clone));
      }
      await pool.filesMade();
      for (let index = 0; index < sequential; index++) {
        const fresh = await clone();
        used.push(await timed(() => pool.persist(fresh)));
      }
      runs.push({
        one: median(one),
        single: median(single),
        used: median(used),
        theirs: median(theirs),
        together: (await together(parallel)) / parallel,
      });
    }
    const ms = (pick: keyof (typeof runs)[number]): string => `${median(runs.map((run) => run[pick])).toFixed(2)} ms`;
    report({
      name: "durable linked clone, one after the other, against qemu-img",
      bound: { atLeast: 30 },
      ratios: runs.map((run) => run.theirs / run.one),
      detail: `${ms("one")} against ${ms("theirs")}`,
    });
    report({
      name: `  with ${inFlight} in flight, for each`,
      bound: { atLeast: 30 },
      ratios: runs.map((run) => run.theirs / run.together),
      detail: `${ms("together")} against ${ms("theirs")}`,
    });
    report({
      name: "  each after a process of qemu-img",
      bound: "shown",
      ratios: runs.map((run) => run.theirs / run.single),
      detail: `${ms("single")} against ${ms("theirs")}`,
    });
    report({
      name: "  its files made and synced as well, which its first use waits for",
      bound: "shown",
      ratios: runs.map((run) => run.theirs / (run.one + run.used)),
      detail: `${ms("used")} more`,
    });
    await pool.filesMade();
    const before = process.memoryUsage().rss;
    const thousands: number[] = [];
    for (let done = 0; done < many; done += 1000) thousands.push(await together(1000));
    const [first, last] = [median(thousands.slice(0, 3)), median(thousands.slice(-3))];
    const memory = (process.memoryUsage().rss - before) / many / 1024;
    const files = await timed(() => pool.filesMade());
    report({
      name: `  the last thousands of ${many.toLocaleString("en")} against the first`,
      bound: { atMost: 1.3 },
      ratios: [last / first],
      detail: `${(last / 1000).toFixed(2)} ms against ${(first / 1000).toFixed(2)} ms each; ${memory.toFixed(1)} KiB of memory each; their files came in ${(files / 1000).toFixed(1)} s more`,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
