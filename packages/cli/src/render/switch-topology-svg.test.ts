import { expect, test } from "vitest";
import { layoutTopology, type TopologyHost } from "./switch-topology-layout.ts";
import { switchTopologySvg } from "./switch-topology-svg.ts";
import { vlanText } from "./vlan-text.ts";

function host(name: string, ports: number, more: Partial<TopologyHost> = {}): TopologyHost {
  return {
    ...{ host: name, state: "up", detail: "", uplinks: [] },
    ports: Array.from({ length: ports }, (_, at) => ({
      ...{ label: `web-${at}/nic0`, portGroup: "web", vlan: "10", link: "up" },
      rates: { sends: at * 1000, gets: 0, drops: 0 },
    })),
    ...more,
  };
}

const base = {
  name: "prod",
  network: "net",
  transport: "overlay",
  mtu: 1450,
  portGroups: [{ name: "web", vlan: "10" }],
};

test("hosts stand in rows of four at most, and none covers another", () => {
  for (const count of [0, 1, 3, 4, 9]) {
    const { placed, width, height } = layoutTopology(Array.from({ length: count }, (_, at) => host(`h${at}`, at)));
    expect(placed).toHaveLength(count);
    for (const [at, one] of placed.entries()) {
      expect(one.x + 372).toBeLessThanOrEqual(width);
      expect(one.y + one.height).toBeLessThanOrEqual(height);
      for (const other of placed.slice(at + 1)) {
        expect(one.x === other.x ? other.y >= one.y + one.height : Math.abs(one.x - other.x) >= 372).toBe(true);
      }
    }
  }
});

test("the picture says in words what it shows, and text from outside stays text", () => {
  const away = host('<b>&"', 1, {
    state: "disconnected",
    detail: "no answer",
    uplinks: [{ name: "up1", link: "down" }],
  });
  const svg = switchTopologySvg({ ...base, name: "</svg>", hosts: [host("alpha", 2), away] });
  expect(svg).not.toContain("<b>");
  expect(svg.match(/<\/svg>/g)).toHaveLength(1);
  expect(svg).toContain("2 hosts · 3 ports · VMs send 1 kbit/s and get 0");
  expect(svg).toContain("Host alpha is up: web-0/nic0 in web (VLAN 10), link up, sends 0, gets 0;");
  expect(svg).toContain("is disconnected (no answer), uplinks up1 down");
  expect(svg).toContain("wire-off");
  expect(svg).toMatch(/prefers-color-scheme: dark/);
  expect(svg).not.toMatch(/NaN|undefined/);
});

test("what is dropped is seen, and a long name has the room that its host's state leaves", () => {
  const port = { label: "a/nic0", portGroup: "web", vlan: "10", link: "up" } as const;
  const busy = {
    ...host("rack-7-host-12.example.org", 0),
    ports: [{ ...port, rates: { sends: 8, gets: 0, drops: 12.4 } }],
  };
  const svg = switchTopologySvg({ ...base, hosts: [busy, { ...busy, state: "warning", detail: "no carrier" }] });
  expect(svg).toContain('<tspan class="warn">drops 12/s</tspan> · web · VLAN');
  expect(svg).toContain("sends 8 bit/s, gets 0, drops 12/s");
  expect(svg).toContain(">rack-7-host-12.example.org</text>");
  expect(svg).toContain(">rack-7-host-12.ex…</text>");
});

test("VLANs are told as people say them", () => {
  expect(vlanText({ kind: "none" })).toBe("-");
  expect(vlanText({ kind: "trunk", ranges: [] })).toBe("trunk of none");
  expect(
    vlanText({
      kind: "trunk",
      ranges: [
        { from: 3, to: 3 },
        { from: 10, to: 20 },
      ],
      native: 3,
    }),
  ).toBe("3,10-20 (3 untagged)");
  expect(vlanText({ kind: "pvlan", primary: 5, secondary: 6, role: "isolated" })).toBe("5/6 isolated");
});
