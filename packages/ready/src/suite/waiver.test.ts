import { describe, expect, it } from "vitest";
import type { SuiteReport } from "./report.ts";
import { runSuite } from "./run-suite.ts";
import { available, describeAs, good, type Greeter, suite } from "./test/greeter-suite.ts";
import { parseWaivers, type Waiver } from "./waiver.ts";

const rude: Greeter = { ...good, greet: async () => ({ text: "you" }) };
const waiver: Waiver = { requirement: "greeter.greet.name", reason: "the array knows no names", expires: "2027-01-31" };

function run(implementation: Greeter, now: string, waivers: readonly Waiver[] = [waiver]): Promise<SuiteReport> {
  return runSuite(suite, { create: () => ({ implementation }), waivers, now: new Date(now) });
}

describe("a waiver", () => {
  it("turns a failure into a partial result for as long as it holds, to the end of its last day", async () => {
    const report = await run(rude, "2027-01-31T23:59:59Z");
    expect(report).toMatchObject({
      verdict: "partial",
      waivers: [{ ...waiver, outcome: "used" }],
      results: [
        { status: "waived", message: expect.stringMatching(/^the array knows no names \(until 2027-01-31\): /) },
        {},
        {},
        {},
      ],
      profiles: [
        { facet: undefined, level: "core", result: "partial", counts: { waived: 2, fail: 0 } },
        { facet: "farewell", level: "extended", result: "not-applicable" },
      ],
    });
  });

  it("no longer helps the day after", async () => {
    const report = await run(rude, "2027-02-01T00:00:00Z");
    expect(report).toMatchObject({ verdict: "failure", waivers: [{ outcome: "expired" }] });
    expect(report.results[0]?.message).toMatch(/its waiver \(the array knows no names\) held until 2027-01-31$/);
  });

  it("is told when it is not needed", async () => {
    expect(await run(good, "2027-01-01T00:00:00Z")).toMatchObject({
      verdict: "success",
      waivers: [{ outcome: "unneeded" }],
    });
  });

  it("hides neither an error of the factory, nor what another suite fails", async () => {
    const broken = await runSuite(suite, {
      create: () => {
        throw new Error("no array to test on");
      },
      waivers: [waiver],
      now: new Date("2027-01-01"),
    });
    expect(broken.verdict).toBe("failure");
    expect((await run(good, "2027-01-01", [{ ...waiver, requirement: "other.thing" }])).waivers).toEqual([]);
    await expect(run(good, "2027-01-01", [{ ...waiver, requirement: "greeter.gone" }])).rejects.toThrow(
      "'greeter.gone'",
    );
  });

  it("is read from a file that says who, why and until when", () => {
    expect(parseWaivers(JSON.stringify({ waivers: [waiver] }))).toEqual([waiver]);
    const wrong: readonly [unknown, string][] = [
      [{ waivers: [{ ...waiver, expires: "soon" }] }, "2027-01-31"],
      [{ waivers: [{ ...waiver, reason: "" }] }, "say why"],
      [{ waivers: [waiver, waiver] }, "waived twice"],
      [{ waivers: [{ ...waiver, until: "2027" }] }, "until"],
      [{ waiver: [] }, "waivers"],
    ];
    for (const [value, text] of wrong) expect(() => parseWaivers(JSON.stringify(value))).toThrow(text);
    expect(() => parseWaivers("{")).toThrow("is no JSON");
  });
});

it("each level of each facet is a profile, with a result of its own", async () => {
  const implementation: Greeter = {
    ...good,
    describe: describeAs(available),
    facets: { farewell: { leave: async () => ({ text: "gone" }) } },
  };
  const { profiles, verdict } = await run(implementation, "2027-01-01", []);
  expect(profiles.map(({ facet, level, result }) => `${facet} ${level} ${result}`)).toEqual([
    "undefined core success",
    "farewell extended failure",
  ]);
  expect(verdict).toBe("failure");
});
