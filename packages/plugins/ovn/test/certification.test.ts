import { missingPrograms } from "@vdc-os/ovsdb/testing";
import { networkSuite } from "@vdc-os/ready/network";
import { describeSuite } from "@vdc-os/ready/vitest";
import { afterAll, beforeAll, describe } from "vitest";
import { TestFabric } from "./ovn-instance.ts";

const missing = missingPrograms("ovn");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: that switches of OVN are VDC Ready`);
}

describe.skipIf(missing.length > 0)("OVN is VDC Ready", () => {
  let fabric: TestFabric;
  beforeAll(async () => {
    fabric = await TestFabric.start();
  });
  afterAll(async () => {
    await fabric[Symbol.asyncDispose]();
  });
  describeSuite(networkSuite, { create: () => fabric.instance(), timeoutMs: 120_000 });
});
