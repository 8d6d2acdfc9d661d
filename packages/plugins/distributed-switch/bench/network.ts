/**
 * How fast the switch is, against the switches that there are: each goal is a ratio of two runs beside each other.
 *
 * `node bench/network.ts` prints a line for each goal; `--json` prints data; `--gate` exits with 1 when a goal is missed; `--only=WORD` runs a
 * part; `--rounds=N`; `--quick` is one short round of everything. The throughput parts need root, for network namespaces and taps.
 */
import { judge, lineOf, type Report, type Verdict } from "@vdc-os/testing";
import { connectingPorts } from "./parts/connect-cost.ts";
import { acrossAddresses, acrossPorts } from "./parts/frame-cost.ts";
import { nicToNic } from "./parts/frame-throughput.ts";
import { addingOvsPorts } from "./parts/ovsdb-port-add.ts";
import { configuringPorts } from "./parts/port-cost.ts";
import { onInterfaces, sameHost, twoHostsOverVxlan } from "./parts/throughput.ts";
import { overBareForwarder } from "./parts/tunnel-cost.ts";

const args = process.argv.slice(2);
const option = (flag: string): string | undefined =>
  args.find((arg) => arg.startsWith(`--${flag}=`))?.slice(flag.length + 3);
const only = option("only");
const quick = args.includes("--quick");
const rounds = Number(option("rounds") ?? (quick ? 1 : 5));
const seconds = quick ? 1 : 2;
const json = args.includes("--json");

const verdicts: Verdict[] = [];
const report: Report = (goal) => {
  const verdict = judge(goal);
  verdicts.push(verdict);
  if (!json) console.log(lineOf(verdict));
};
const skip = (what: string): void => console.error(`SKIPPED ${what}`);

const parts: Readonly<Record<string, () => Promise<void>>> = {
  "same-host": () => sameHost({ rounds, seconds, report, skip }),
  frames: () => nicToNic({ rounds, seconds, report, skip }),
  interfaces: () => onInterfaces({ rounds, seconds, report, skip }),
  vxlan: () => twoHostsOverVxlan({ rounds, seconds, report, skip }),
  tunnel: () => overBareForwarder({ rounds, quick, report }),
  ports: () => acrossPorts({ rounds, quick, report }),
  addresses: () => acrossAddresses({ rounds, quick, report }),
  configuring: () => configuringPorts({ rounds, quick, report }),
  connecting: () => connectingPorts({ rounds, quick, report }),
  ovsdb: () => addingOvsPorts({ rounds, quick, report, skip }),
};

for (const [name, run] of Object.entries(parts)) {
  if (only === undefined || only === name) await run();
}
if (json) console.log(JSON.stringify(verdicts, undefined, 2));
if (args.includes("--gate") && verdicts.some(({ verdict }) => verdict === "short")) process.exitCode = 1;
