import { VdcError } from "@vdc-os/core";
import { generalRequirements } from "../certify/general-requirements.ts";
import { leakRequirement } from "../certify/leak-requirement.ts";
import { knownSuites } from "../certify/known-suites.ts";
import type { CommandLine } from "./run-command-line.ts";

/** Lists the requirements of a suite, or of all. Returns the exit code. */
export async function runList(name: string | undefined, { stdout }: CommandLine): Promise<number> {
  const wanted = knownSuites.filter((suite) => name === undefined || suite.name === name || suite.point === name);
  if (wanted.length === 0) {
    const names = knownSuites.map((suite) => suite.name).join(", ");
    throw new VdcError("NOT_FOUND", `there is no suite '${name}': there are ${names}`);
  }
  for (const known of wanted) {
    const suite = await known.load();
    const { point } = suite;
    const general = [...generalRequirements(suite.name), { ...leakRequirement(suite.name), facet: undefined }];
    const requirements = [...suite.requirements, ...general];
    stdout.write(`${point.id} ${point.version}: ${requirements.length} requirements\n`);
    for (const { id, title, level, facet } of requirements) {
      stdout.write(`  ${id}  (${facet === undefined ? level : `${facet}, ${level}`})\n      ${title}\n`);
    }
  }
  return 0;
}
