/**
 * How fast storage is, against the NBD servers and tools that there are: each goal is a ratio of two runs beside each other on the same file system.
 *
 * `node bench/storage.ts` prints a line for each goal; `--json` prints data; `--gate` exits with 1 when a goal is missed; `--only=WORD` runs a part;
 * `--case=WORD` runs only those cases of it whose names hold the word (of the parts against qemu-nbd); `--rounds=N`. The file system is that of `VDC_BENCH_FOLDER`, or of the system's temporary folder.
 */
import { throughChains } from "./chains.ts";
import { linkedClones } from "./clones.ts";
import { againstNbdkit, againstQemuNbd } from "./data-path.ts";
import { changedBlocks, images } from "./images.ts";
import { besideAColdDisk } from "./isolation.ts";
import { type Goal, judge, lineOf, type Verdict } from "@vdc-os/testing";

const parts: Readonly<Record<string, (rounds: number, report: (goal: Goal) => void, word: string) => Promise<void>>> = {
  "qemu-nbd": againstQemuNbd,
  nbdkit: againstNbdkit,
  chains: throughChains,
  isolation: besideAColdDisk,
  clones: linkedClones,
  images,
  "changed-blocks": changedBlocks,
};

const args = process.argv.slice(2);
const option = (flag: string): string | undefined =>
  args.find((arg) => arg.startsWith(`--${flag}=`))?.slice(flag.length + 3);
const only = option("only");
const rounds = Number(option("rounds") ?? 3);

const verdicts: Verdict[] = [];
for (const [name, run] of Object.entries(parts)) {
  if (only !== undefined && only !== name) continue;
  await run(
    rounds,
    (goal) => {
      const verdict = judge(goal);
      verdicts.push(verdict);
      if (!args.includes("--json")) console.log(lineOf(verdict));
    },
    option("case") ?? "",
  );
}
if (args.includes("--json")) console.log(JSON.stringify(verdicts, undefined, 2));
if (args.includes("--gate") && verdicts.some(({ verdict }) => verdict === "short")) process.exitCode = 1;
