import type { FilterRule } from "@vdc-os/core/network/v1";
import { expect, test } from "vitest";
import { filterMatch } from "../control/filter-match.ts";
import { portsOf, viewOf } from "./logical-flows.ts";

function ported(match: FilterRule["match"], direction: "in" | "out" = "in"): readonly string[] {
  const rule: FilterRule = { name: "r", direction, match, action: { kind: "drop" } };
  return portsOf({ match: `reg0[7] == 1 && (${filterMatch(rule, direction, "vm-1")})` });
}

test("a logical flow is looked for at the port that it names", () => {
  expect(ported({})).toEqual(["vm-1"]);
  expect(ported({ protocol: 6, destinationPorts: { from: 80, to: 90 } }, "out")).toEqual(["vm-1"]);
  expect(ported({ sourcePrefix: "192.0.2.0/24", destinationPrefix: "192.0.2.7/32" })).toEqual(["vm-1"]);
  expect(portsOf({ match: "1" })).toEqual([]);
});

test("one that no frame can match becomes no flow, and is not looked for", () => {
  expect(ported({ sourcePrefix: "192.0.2.0/24", destinationPrefix: "2001:db8::/32" })).toEqual([]);
  expect(ported({ protocol: 1, sourcePorts: { from: 1, to: 2 } })).toEqual([]);
  expect(ported({ etherType: 0x0806, protocol: 6 })).toEqual([]);
  expect(ported({ etherType: 0x0806, sourcePrefix: "192.0.2.0/24" })).toEqual([]);
});

test("the cookie is the beginning of the row's uuid", () => {
  const row = {
    _uuid: "e998c9e5-8758-4bd9-b258-4fde5e76c48c",
    match: "1",
    external_ids: { "stage-name": "ls_in_acl" },
  };
  expect(viewOf(row)).toEqual({ cookie: 0xe998_c9e5n, stage: "ls_in_acl" });
});
