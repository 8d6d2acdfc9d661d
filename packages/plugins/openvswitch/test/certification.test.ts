import { missingPrograms } from "@vdc-os/ovsdb/testing";
import { networkSuite } from "@vdc-os/ready/network";
import { describeSuite } from "@vdc-os/ready/vitest";
import { afterAll, beforeAll, describe } from "vitest";
import { OpenVswitchFabric } from "./openvswitch-fabric.ts";
import { openInstance } from "./openvswitch-instance.ts";

const missing = missingPrograms("openvswitch");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: that switches of Open vSwitch are VDC Ready`);
}

describe.skipIf(missing.length > 0)("Open vSwitch is VDC Ready", () => {
  let fabric: OpenVswitchFabric;
  beforeAll(async () => {
    fabric = await OpenVswitchFabric.start();
  });
  afterAll(async () => {
    await fabric[Symbol.asyncDispose]();
  });
  describeSuite(networkSuite, { create: () => openInstance(fabric), timeoutMs: 120_000 });
});
