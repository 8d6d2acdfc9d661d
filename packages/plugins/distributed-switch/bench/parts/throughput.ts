import { type Goal, median, type Report } from "@vdc-os/testing";
import { compile } from "../load/compile.ts";
import { tcpBitsPerSecond } from "../load/iperf.ts";
import { kernelVxlan, linuxBridge, twoHosts } from "../peers/linux-bridge.ts";
import { openVSwitchTaps, openVSwitchVxlan } from "../peers/open-vswitch.ts";
import { joinedNics, type OurSwitchOptions, ourInterfaces, ourSwitch, ourVxlan } from "../peers/our-switch.ts";
import type { Path } from "../peers/path.ts";
import { vde } from "../peers/vde.ts";
import { missing } from "../sandbox/requirements.ts";
import { eventually } from "../sandbox/readiness.ts";
import { Sandbox } from "../sandbox/sandbox.ts";

interface Contender {
  readonly needs: readonly string[];
  readonly open: (sandbox: Sandbox, nics: OurSwitchOptions) => Promise<Path>;
  readonly bound: Goal["bound"];
}

export interface ThroughputOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly report: Report;
  /** Told what can't be measured here, and why. */
  readonly skip: (what: string) => void;
}

const ourNeeds = ["ip", "ethtool", "iperf3", "cc"];

/** TCP at MTU 1500 between two guests of one host: our switch against the Linux bridge, Open vSwitch and VDE. */
export async function sameHost(options: ThroughputOptions): Promise<void> {
  await compare("TCP, one host", options, {
    ours: ourSwitch,
    others: [
      { needs: [], open: linuxBridge, bound: { atLeast: 0.5 } },
      { needs: ["ovs-vswitchd", "ovsdb-server"], open: openVSwitchTaps, bound: { atLeast: 1.5 } },
      { needs: ["vde_switch", "vde_plug2tap"], open: vde, bound: { atLeast: 3 } },
      {
        needs: [],
        open: (sandbox, nics) => joinedNics(sandbox, { ...nics, name: "no switch, the NICs joined" }),
        bound: "shown",
      },
      {
        needs: [],
        open: (sandbox, nics) =>
          ourSwitch(sandbox, { ...nics, framesPerWrite: 1, name: "ours, a write a frame as QEMU" }),
        bound: "shown",
      },
    ],
  });
}

/** The same where the switch takes interfaces of its host, frame by frame, as it takes uplinks: for who has root, and nobody's goal. */
export async function onInterfaces(options: ThroughputOptions): Promise<void> {
  await compare("TCP, interfaces", options, {
    ours: ourInterfaces,
    others: [
      { needs: [], open: linuxBridge, bound: "shown" },
      { needs: ["ovs-vswitchd", "ovsdb-server"], open: openVSwitchTaps, bound: "shown" },
    ],
  });
}

/** TCP at MTU 1450 between guests of two hosts, over VXLAN on a link of MTU 1500. */
export async function twoHostsOverVxlan(options: ThroughputOptions): Promise<void> {
  await compare("TCP, two hosts", options, {
    ours: async (sandbox, nics) => ourVxlan(sandbox, nics, await twoHosts(sandbox, "us", true)),
    others: [
      {
        needs: [],
        open: async (sandbox) => kernelVxlan(sandbox, await twoHosts(sandbox, "kv", true)),
        bound: { atLeast: 0.3 },
      },
      {
        needs: ["ovs-vswitchd", "ovsdb-server"],
        open: async (sandbox) => openVSwitchVxlan(sandbox, await twoHosts(sandbox, "ov", false)),
        bound: { atLeast: 1 },
      },
    ],
  });
}

interface Comparison {
  readonly ours: (sandbox: Sandbox, nics: OurSwitchOptions) => Promise<Path>;
  readonly others: readonly Contender[];
}

/** Has all the paths up at once, and lets them take turns. */
async function compare(what: string, options: ThroughputOptions, { ours, others }: Comparison): Promise<void> {
  const { rounds, seconds, report, skip } = options;
  if (process.getuid?.() !== 0) return skip(`${what}: network namespaces and taps need root`);
  const lacking = missing(ourNeeds);
  if (lacking.length > 0) return skip(`${what}: not installed: ${lacking.join(", ")}`);
  using sandbox = Sandbox.open();
  const nics: OurSwitchOptions = { tapStream: await compile(sandbox, "tap-stream"), framesPerWrite: 64, name: "ours" };
  const opened: { readonly path: Path; readonly bound: Goal["bound"] }[] = [];
  for (const { needs, open, bound } of others) {
    const absent = missing(needs);
    if (absent.length > 0) skip(`${what}: a peer isn't installed: ${absent.join(", ")}`);
    else {
      try {
        opened.push({ path: await open(sandbox, nics), bound });
      } catch (error) {
        skip(`${what}: a peer didn't come up here: ${(error as Error).message}`);
      }
    }
  }
  const mine = await ours(sandbox, nics);
  const all = [mine, ...opened.map(({ path }) => path)];
  for (const { guests } of all) {
    // The first frame over a tunnel is often lost while it looks for its peer; and compilers warm up.
    await eventually(() => tcpBitsPerSecond(sandbox, guests, 1));
  }
  const runs = new Map<Path, Run[]>(all.map((path) => [path, []]));
  for (let round = 0; round < rounds; round++) {
    // Everyone is first once: whoever else works on this machine mustn't always meet the same one.
    for (let turn = 0; turn < all.length; turn++) {
      const path = all[(turn + round) % all.length] as Path;
      const before = sandbox.cpuSeconds();
      const bitsPerSecond = await tcpBitsPerSecond(sandbox, path.guests, seconds);
      const gigabytes = (bitsPerSecond * seconds) / 8e9;
      runs.get(path)?.push({ megabits: bitsPerSecond / 1e6, cpu: (sandbox.cpuSeconds() - before) / gigabytes });
    }
  }
  const own = runs.get(mine) ?? [];
  for (const { path, bound } of opened) {
    const theirs = runs.get(path) ?? [];
    const row = (name: string, figure: keyof Run, unit: string, digits: number): Omit<Goal, "bound"> => ({
      name,
      ratios: own.map((run, round) => run[figure] / (theirs[round] as Run)[figure]),
      detail:
        [own, theirs].map((side) => median(side.map((run) => run[figure])).toFixed(digits)).join(" against ") + unit,
    });
    report({ ...row(`${what}: against ${path.name}`, "megabits", " Mbit/s", 0), bound });
    report({ ...row("  processor time of all that takes part", "cpu", " s a gigabyte", 1), bound: "shown" });
  }
}

interface Run {
  readonly megabits: number;
  /** Processor time of the guests, the switch and what feeds it, in seconds for a gigabyte: the same however busy the machine is. */
  readonly cpu: number;
}
