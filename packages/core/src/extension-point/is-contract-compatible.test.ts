import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { coreVersion } from "../core-version.ts";
import { greeter } from "../kernel/test/greeter-point.ts";
import { contractJsonSchema } from "./contract-json-schema.ts";
import { isContractCompatible } from "./is-contract-compatible.ts";

it.each([
  ["1.0", "1.0", true],
  ["1.0", "1.3", true],
  ["1.3", "1.0", false],
  ["1.0", "2.0", false],
  ["0.1", "0.1.7", true],
  ["0.1", "0.2", false],
  ["1.2.9", "1.2.0", true],
  ["1", "1.0", false],
  ["1.0-beta", "1.0", false],
])("%s with %s: %s", (required, offered, compatible) => {
  expect(isContractCompatible(required, offered)).toBe(compatible);
});

it("knows the package's own version", () => {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  expect((JSON.parse(text) as { version: string }).version).toBe(coreVersion);
});

it("writes a contract as JSON Schema", () => {
  const schema = contractJsonSchema(greeter);
  expect(schema).toMatchObject({ id: "test.greeter", version: "1.0", cardinality: "many" });
  expect(schema.operations.greet).toMatchObject({
    kind: "unary",
    input: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
  });
  expect(schema.facets.shouting?.shout?.output).toMatchObject({ type: "object" });
});
