import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EngineContestant } from "./engine-contestant.ts";
import { isOpenVswitchMissing, OpenVswitchContestant } from "./open-vswitch-contestant.ts";
import { type RandomCaseOptions, randomCase } from "./random-case.ts";
import type { CaseConfig, CaseFrame, Contestant } from "./switch-case.ts";

const PORTS = 6;
const RUNS = process.env.VDC_DEEP ? 7_500 : 750;

/** What a port got, in words that a failure can be read in. */
function text(frames: readonly (readonly Buffer[])[]): string[] {
  return frames.flatMap((left, port) => left.map((bytes) => `p${port} ${bytes.toString("hex")}`));
}

async function play(contestant: Contestant, config: CaseConfig, frames: readonly CaseFrame[]): Promise<string[]> {
  await contestant.configure(config);
  return text(await contestant.exchange(frames));
}

describe.skipIf(isOpenVswitchMissing("that our switch and Open vSwitch do the same with the same frames"))(
  "our switch and Open vSwitch",
  () => {
    const groups: readonly (Omit<RandomCaseOptions, "ports"> & { readonly name: string; readonly seed: number })[] = [
      { name: "VLANs, trunks and blocked ports", seed: 31, privateVlans: false, mirrors: false },
      { name: "isolated ports", seed: 32, privateVlans: true, mirrors: false },
      { name: "mirrors", seed: 33, privateVlans: false, mirrors: true },
      { name: "all of it", seed: 34, privateVlans: true, mirrors: true },
    ];
    // Each has a daemon of its own and mostly waits for it.
    it.concurrent.each(groups)("do the same: $name", async ({ name, seed, ...options }) => {
      await using openVswitch = await OpenVswitchContestant.start(PORTS);
      const ours = new EngineContestant();
      let cases = 0;
      let sent = 0;
      let left = 0;
      let mismatches = 0;
      const started = performance.now();
      const property = fc.asyncProperty(randomCase({ ports: PORTS, ...options }), async ({ config, frames }) => {
        const expected = await play(openVswitch, config, frames);
        const actual = await play(ours, config, frames);
        cases += 1;
        sent += frames.length;
        left += expected.length;
        if (expected.join() === actual.join()) return;
        mismatches += 1;
        expect(actual).toEqual(expected);
      });
      try {
        await fc.assert(property, { seed, numRuns: RUNS });
      } finally {
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        console.log(`${name}: ${cases} cases, ${sent} frames in, ${left} out, ${mismatches} mismatches, ${seconds} s`);
      }
      // Otherwise agreement would mean that both drop.
      expect(left).toBeGreaterThan(sent / 4);
    });
  },
);
