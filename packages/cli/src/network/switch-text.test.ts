import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { switchText } from "../commands/networks.ts";
import type { SwitchReport } from "../datacenter/network-access.ts";
import { createStyle } from "../terminal/style.ts";

const detail = "no tunnel yet to 'beta'; the other hosts refuse its frames until somebody has reached it";
const problem = "its VM sends back what comes from other ports, as one does that bridges two of them";

function port(vm: string, host: string, more: object = {}) {
  const vlan = { kind: "access", id: 10 };
  const mac = "52:54:00:00:00:01";
  return { portKey: vm, vm, nic: "nic0", host, portGroup: "web", vlan, mac, link: "up", gate: "open", ...more };
}

/** A switch with most that can be told of one. */
const report = {
  object: {
    metadata: { name: "prod" },
    spec: {
      ...{ network: "net", transport: "overlay", mtu: 1400, policy: {} },
      portGroups: [
        { name: "web", policy: { vlan: { kind: "access", id: 10 } }, binding: "static", overrides: [] },
        {
          name: "everything",
          policy: { vlan: { kind: "trunk", ranges: [{ from: 1, to: 4094 }], native: 5 } },
          ...{
            binding: "ephemeral",
            maxPorts: 128,
            overrides: ["blocked", "vlan", "security", "shapingIn", "filters"],
          },
        },
      ],
    },
    status: {},
  },
  view: {
    members: [
      { host: "alpha", state: "warning", detail },
      { host: "beta", state: "up", detail: "" },
    ],
    ports: [
      port("database-replica-with-a-long-name", "alpha"),
      port("web-2", "beta", {
        vlan: { kind: "trunk", ranges: [{ from: 1, to: 4094 }], native: 5 },
        gate: "hold",
        problem,
      }),
    ],
  },
  rates: new Map(
    ["database-replica-with-a-long-name", "web-2"].map((portKey) => [
      portKey,
      { bitsInPerSecond: 940e6, bitsOutPerSecond: 1_200, dropsInPerSecond: 3, dropsOutPerSecond: 0 },
    ]),
  ),
  uplinks: [],
} as unknown as SwitchReport;

function linesAt(width: number | undefined, colours = false): readonly string[] {
  return switchText(report, { style: createStyle(colours), width }).split("\n");
}

describe("a switch as text", () => {
  it.each([60, 80, 120])("fits a terminal of %i columns", (width) => {
    expect(Math.max(...linesAt(width).map(({ length }) => length))).toBeLessThanOrEqual(width);
  });

  it("tells of ports what there is room for, and of what is wrong with them everything", () => {
    const titles = (width: number | undefined) =>
      linesAt(width)
        .find((line) => line.startsWith("PORT  "))
        ?.split(/ +/);
    expect(titles(undefined)).toEqual(["PORT", "HOST", "GROUP", "VLAN", "MAC", "LINK", "SENDS", "GETS", "DROPS"]);
    expect(titles(120)).toEqual(titles(undefined));
    expect(titles(80)).toEqual(["PORT", "HOST", "VLAN", "LINK", "SENDS", "GETS", "DROPS"]);
    expect(titles(60)).toEqual(["PORT", "HOST", "LINK", "SENDS", "GETS", "DROPS"]);
    for (const width of [60, 80, 120, undefined]) {
      const words = linesAt(width).join(" ").split(/ +/).join(" ");
      for (const text of [detail, problem]) for (const word of text.split(" ")) expect(words).toContain(word);
    }
  });

  it("is the same with colours, but for them", () => {
    for (const width of [60, 80, undefined]) {
      const plain = linesAt(width, true).map((line) => stripVTControlCharacters(line).trimEnd());
      expect(plain).toEqual(linesAt(width));
    }
  });
});
