import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { generalRequirements } from "../src/certify/general-requirements.ts";
import { knownSuites } from "../src/certify/known-suites.ts";
import { leakRequirement } from "../src/certify/leak-requirement.ts";
import { everywhere, formatMatrix, formatNames, properties, propertyMatrix, suiteNames } from "./property-matrix.ts";

const page = readFileSync(new URL("../README.md", import.meta.url), "utf8");

test("every suite has its column, and what it names is a requirement", async () => {
  expect(knownSuites.map(({ name }) => name)).toEqual([...suiteNames]);
  const wrong: string[] = [];
  for (const known of knownSuites) {
    const { name, requirements } = await known.load();
    const general = [...generalRequirements(name), leakRequirement(name)].map(({ id }) => id);
    const ids = new Set([...requirements.map(({ id }) => id), ...general]);
    for (const property of properties) {
      const own = propertyMatrix[property][name as (typeof suiteNames)[number]];
      const all = [...(everywhere[property] ?? []), ...(typeof own === "string" ? [] : own)];
      for (const one of all) if (!ids.has(`${name}.${one}`)) wrong.push(`${name}.${one} is no requirement`);
      if (all.length === 0 && typeof own !== "string") wrong.push(`nothing of '${name}' tries ${property}`);
    }
  }
  expect(wrong).toEqual([]);
});

test("README.md has the matrix: write-property-matrix.ts writes it", () => {
  const bare = (text: string): string => text.replace(/ +/g, " ").replace(/-{2,}/g, "-");
  expect(bare(page)).toContain(bare(formatMatrix()));
  expect(bare(page)).toContain(bare(formatNames()));
});
