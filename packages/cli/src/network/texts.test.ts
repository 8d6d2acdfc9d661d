import type { HealthFinding, PortSetting, PortStatistics } from "@vdc-os/core/network/v1";
import { expect, test } from "vitest";
import { createStyle } from "../terminal/style.ts";
import { formatFacts } from "../terminal/table.ts";
import { dropReasonText } from "./drop-reason-text.ts";
import { healthText } from "./health-text.ts";
import { portCountersText } from "./port-counters-text.ts";
import { portSettingFacts } from "./port-setting-text.ts";

const style = createStyle(false);

test("counters are told so that they add up, each reason for a drop with what it means", () => {
  const statistics: PortStatistics = {
    ...{ portKey: "p", framesIn: "1234567", bytesIn: "1048576", framesForwarded: "1234500", framesHeld: "0" },
    dropsIn: { shaped: "0", "own\u0007": "7", forgedTransmit: "60" },
    ...{ framesOut: "0", bytesOut: "0", dropsOut: { queueFull: "18446744073709551615" } },
  };
  const lines = portCountersText(statistics, style).split("\n");
  expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
    ["COUNTED", "FRAMES", "BYTES", "WHY"],
    ["sent by the VM", "1,234,567", "1 MiB"],
    ["", "forwarded", "1,234,500"],
    ["", "dropped, forgedTransmit", "60", "its source is not the NIC's address"],
    ["", "dropped, own\ufffd", "7"],
    ["got by the VM", "0", "0 B"],
    ["", "dropped, queueFull", "18,446,744,073,709,551,615", "who is at the port does not read fast enough"],
  ]);
  const held = portCountersText({ ...statistics, framesHeld: "3", dropsIn: {}, dropsOut: {} }, style);
  expect(held).toContain("  held by the gate          3");
  expect(held).not.toContain("WHY");
  expect(dropReasonText("constructor")).toBeUndefined();
});

test("a setting is told as people say it, and what is not set is left out", () => {
  const plain: PortSetting = {
    vlan: { kind: "access", id: 10 },
    blocked: false,
    security: { promiscuous: false, forgedTransmits: false, macChanges: false },
  };
  expect(formatFacts(portSettingFacts(plain))).toBe("vlan     10\naccepts  its own address alone");
  const shaping = { averageBitsPerSecond: 10e6, peakBitsPerSecond: 20e6, burstBytes: 65_536, packetsPerSecond: 0 };
  const told = formatFacts(
    portSettingFacts({
      ...plain,
      blocked: true,
      security: { promiscuous: true, forgedTransmits: true, macChanges: false },
      macLearning: { enabled: true, limit: 4, whenFull: "drop", floodUnknown: false },
      teaming: { policy: "failoverOrder", active: ["up1"], standby: ["up2"], failback: true, notifySwitches: true },
      shapingIn: shaping,
      shapingOut: { ...shaping, peakBitsPerSecond: 10e6, packetsPerSecond: 500 },
      filters: [
        {
          name: "db",
          direction: "in",
          match: { protocol: 6, destinationPrefix: "10.0.0.0/8", destinationPorts: { from: 5432, to: 5432 } },
          action: { kind: "accept" },
        },
        {
          name: "slow",
          direction: "out",
          match: { protocol: 17, sourcePorts: { from: 1, to: 1023 } },
          action: { kind: "rateLimit", packetsPerSecond: 50 },
        },
        { name: "mark", direction: "both", match: {}, action: { kind: "tag", dscp: 46 } },
      ],
    }),
  );
  expect(told.split("\n").slice(1)).toEqual([
    "blocked       yes: nothing passes",
    "accepts       promiscuous, forged transmits",
    "mac learning  4 stations; more are dropped",
    "teaming       failoverOrder: up1; standby up2",
    "may send      10 Mbit/s, 20 Mbit/s at peak, bursts of 64 KiB",
    "may get       10 Mbit/s, bursts of 64 KiB, 500 packets/s",
    "rule 1        db: sent, tcp to 10.0.0.0/8 port 5432: accept",
    "rule 2        slow: got, udp from port 1-1023: 50 packets/s at most",
    "rule 3        mark: both ways, everything: tag DSCP 46",
  ]);
});

test("of many findings, what is wrong is told, and the rest is summed up", () => {
  const hosts = ["a", "b", "c", "d"];
  const findings = hosts.flatMap((from) =>
    hosts
      .filter((to) => to !== from)
      .flatMap((to): HealthFinding[] => [
        { check: "path", from, to, ok: true, detail: "fine" },
        { check: "mtu", from, to, ok: from !== "a" || to !== "b", detail: "frames of 1514 octets are lost" },
      ]),
  );
  expect(healthText(findings, { style, all: false })).toBe(
    [
      "       CHECK  FROM  TO  WHAT WAS SEEN",
      "WRONG  mtu    a     b   frames of 1514 octets are lost",
      "ok     path   -     -   all 12 ways between hosts",
      "ok     mtu    -     -   11 of 12 ways between hosts",
      "",
      "'--all' tells each of them.",
    ].join("\n"),
  );
  expect(healthText(findings, { style, all: true }).split("\n")).toHaveLength(1 + findings.length);
  const away = hosts
    .slice(1)
    .flatMap((to) =>
      (["path", "mtu"] as const).map((check) => ({ check, from: "a", to, ok: false, detail: "'a' can't be asked" })),
    );
  expect(healthText(away, { style, all: true })).toContain("WRONG  path, mtu  a     b, c, d  'a' can't be asked");
  expect(healthText(findings.slice(0, 3), { style, all: false })).toContain("fine");
});
