// From nothing to a certified provider as a stranger goes: `npm create`, install, tests, certificate; for each extension point, from packages as they
// will be in the registry, in an empty folder with a clean environment. Prints how long each step took and how much code there is to read.
// Arguments: extension points. Defaults to all.
import { CleanMachine } from "./clean-machine.ts";
import { formatJourneys, type Journey, templatePoints, travel } from "./journey.ts";

const asked = process.argv.slice(2);
const points = asked.length > 0 ? asked : await templatePoints();
await using machine = await CleanMachine.arrive();
const journeys: Journey[] = [];
for (const point of points) {
  try {
    const journey = await travel(machine, point);
    journeys.push(journey);
    // What was found is known, whatever becomes of the rest.
    if (points.length > 1) console.error(formatJourneys([journey]));
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
console.log(formatJourneys(journeys));
