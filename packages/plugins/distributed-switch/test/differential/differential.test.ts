import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataPlaneContestant } from "./data-plane-contestant.ts";
import { EngineContestant } from "./engine-contestant.ts";
import { isOpenVswitchMissing, OpenVswitchContestant } from "./open-vswitch-contestant.ts";
import { type RandomCase, type RandomCaseOptions, randomCase } from "./random-case.ts";
import type { Contestant } from "./switch-case.ts";

const PORTS = 6;
/** The tests share the machine with each other and with all others. */
const TIMEOUT_MS = process.env.VDC_DEEP ? 1_800_000 : 180_000;

/** What left every port, in words that a failure can be read in. */
function text(frames: readonly (readonly Buffer[])[]): string[] {
  return frames.flatMap((left, port) => left.map((bytes) => `p${port} ${bytes.toString("hex")}`));
}

interface Match extends Omit<RandomCaseOptions, "ports"> {
  readonly name: string;
  readonly seed: number;
  readonly runs: number;
  /** Over how many hosts. Defaults to `1`. */
  readonly hosts?: number;
}

/** Plays random cases against Open vSwitch until one differs, which is then shrunk. */
async function compete(ours: Contestant, { name, seed, runs, hosts = 1, ...options }: Match): Promise<void> {
  await using openVswitch = await OpenVswitchContestant.start(PORTS, { hosts });
  let cases = 0;
  let sent = 0;
  let left = 0;
  let mismatches = 0;
  const play = async (contestant: Contestant, { config, frames }: RandomCase): Promise<string[]> => {
    await contestant.configure(config);
    return text(await contestant.exchange(frames));
  };
  const started = performance.now();
  const property = fc.asyncProperty(randomCase({ ports: PORTS, ...options }), async (each) => {
    const expected = await play(openVswitch, each);
    const actual = await play(ours, each);
    cases += 1;
    sent += each.frames.length;
    left += expected.length;
    if (expected.join() === actual.join()) return;
    mismatches += 1;
    expect(actual).toEqual(expected);
  });
  try {
    await fc.assert(property, { seed, numRuns: runs });
  } finally {
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(
      `${ours.name} and Open vSwitch, ${name}: ${cases} cases, ${sent} frames in, ${left} out, ${mismatches} mismatches, ${seconds} s`,
    );
  }
  // Otherwise agreement would mean that both drop.
  expect(left).toBeGreaterThan(sent / 4);
}

const consequence = "that our switch and Open vSwitch do the same with the same frames";
describe.skipIf(isOpenVswitchMissing(consequence))("our switch and Open vSwitch", () => {
  const none = { privateVlans: false, mirrors: false, priorities: true, snooping: false, pauses: false };
  const matches: readonly Omit<Match, "runs">[] = [
    { ...none, name: "VLANs, trunks and blocked ports", seed: 31 },
    { ...none, name: "isolated ports", seed: 32, privateVlans: true },
    { ...none, name: "mirrors", seed: 33, mirrors: true },
    { ...none, name: "addresses that age", seed: 34, privateVlans: true, mirrors: true, pauses: true },
    { ...none, name: "tunnels", seed: 35, hosts: 3, priorities: false, pauses: true },
    { ...none, name: "multicast snooping", seed: 36, privateVlans: true, snooping: true },
  ];
  // Each has a daemon of its own and mostly waits for it.
  it.concurrent.each(matches)(
    "do the same: $name",
    async (match) => {
      const ours = new EngineContestant(match.hosts === undefined ? {} : { hosts: match.hosts });
      await compete(ours, { ...match, runs: process.env.VDC_DEEP ? 5_000 : 400 });
    },
    TIMEOUT_MS,
  );

  it("do the same with NICs on sockets", async () => {
    await using ours = await DataPlaneContestant.start(PORTS);
    const runs = process.env.VDC_DEEP ? 2_000 : 200;
    await compete(ours, {
      ...none,
      name: "isolated ports and mirrors",
      seed: 37,
      privateVlans: true,
      mirrors: true,
      runs,
    });
  });
});
