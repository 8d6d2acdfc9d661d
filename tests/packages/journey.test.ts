import { expect, it } from "vitest";
import { CleanMachine } from "./clean-machine.ts";
import { formatJourneys, templatePoints, travel } from "./journey.ts";

const points = process.env.VDC_DEEP ? await templatePoints() : ["storage"];

it.each(points)(
  "from 'npm create' to a certified provider of %s, on a clean machine",
  { timeout: 900_000 },
  async (point) => {
    await using machine = await CleanMachine.arrive();
    const journey = await travel(machine, point);
    console.log(formatJourneys([journey]));
    expect(journey).toMatchObject({ failed: 0, verdict: "success" });
    expect(journey.passed).toBeGreaterThan(10);
  },
);
