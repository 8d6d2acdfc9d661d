import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { kitVersion } from "./kit-version.ts";

it("the kit knows its version", () => {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  expect(kitVersion).toBe(version);
});
