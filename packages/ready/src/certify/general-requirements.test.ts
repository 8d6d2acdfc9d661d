import { describe, expect, it } from "vitest";
import type { RequirementResult } from "../suite/report.ts";
import { runRequirement } from "../suite/run-requirement.ts";
import type { Instance, Requirement } from "../suite/suite.ts";
import { available, describeAs, good, type Greeter, suite } from "../suite/test/greeter-suite.ts";
import { generalRequirements } from "./general-requirements.ts";

type Describe = Greeter["describe"];

const requirements = generalRequirements<Greeter, Instance<Greeter>>("greeter");

async function run(id: string, describe: Describe): Promise<RequirementResult> {
  const requirement = requirements.find((one) => one.id === id) as Requirement<Greeter>;
  return runRequirement(suite, requirement, { create: () => ({ implementation: { ...good, describe } }) });
}

/** For each general requirement, an implementation that breaks it alone. */
const mutants: Readonly<Record<string, () => Describe>> = {
  "greeter.describe.given-up": () => {
    let first = true;
    return (input, context) => {
      if (first) {
        first = false;
        return good.describe(input, context);
      }
      return new Promise(() => undefined);
    };
  },
  "greeter.describe.deadline": () => {
    let calls = 0;
    return (input, context) => {
      calls++;
      return calls === 1 ? good.describe(input, context) : new Promise(() => undefined);
    };
  },
  "greeter.describe.at-once": () => {
    let open = 0;
    return async (input, context) => {
      open++;
      const said = await (open > 3 ? describeAs(available)() : good.describe(input, context));
      await new Promise((resolve) => setImmediate(resolve));
      open--;
      return said;
    };
  },
  "greeter.describe.bounded-memory": () => {
    const kept: unknown[] = [];
    return async (input, context) => {
      kept.push(new Array(400).fill(input));
      return good.describe(input, context);
    };
  },
};

describe("what every implementation must do", () => {
  it.each(requirements.map(({ id }) => id))("%s is met by a good one, and catches its mutant", async (id) => {
    expect(await run(id, good.describe)).toMatchObject({ status: "pass" });
    const mutant = mutants[id];
    if (mutant === undefined) throw new Error(`no mutant breaks '${id}'`);
    expect(await run(id, mutant())).toMatchObject({ status: "fail" });
  });
});
