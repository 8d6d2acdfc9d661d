import { describe, expect, it } from "vitest";
import type { NetworkFacets } from "./distributed-switch.ts";
import type { PortSetting } from "./port-setting.ts";
import { addressProblems, settingProblems, specProblems } from "./spec-problems.ts";
import type { SwitchSpec } from "./switch-spec.ts";

const every: ReadonlySet<keyof NetworkFacets> = new Set([
  "teaming",
  "pvlan",
  "shaping",
  "securityPolicy",
  "macLearning",
  "accessControl",
  "mirroring",
  "flowExport",
  "discovery",
  "multicastSnooping",
  "dhcp",
  "loadBalancing",
]);
const able = { facets: every, transports: ["overlay", "uplinks"], statefulFilters: true } as const;
const unable = { facets: new Set<keyof NetworkFacets>(), transports: ["overlay"], statefulFilters: false } as const;

const open: PortSetting = {
  vlan: { kind: "none" },
  blocked: false,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
};

const spec: SwitchSpec = {
  switchId: "s",
  name: "s",
  mtu: 1400,
  transport: "overlay",
  members: [{ host: "a", uplinks: [] }],
  portGroups: [{ key: "g", name: "g", binding: "static", setting: open }],
};

function paths(changes: Partial<SwitchSpec>, abilities: Parameters<typeof specProblems>[1] = able): readonly string[] {
  return specProblems({ ...spec, ...changes }, abilities).map(({ path }) => path);
}

function settingPaths(changes: Partial<PortSetting>): readonly string[] {
  return settingProblems({ ...open, ...changes }, "s", able).map(({ path }) => path);
}

describe("the problems of a spec", () => {
  it("are none for a plain one", () => {
    expect(paths({})).toEqual([]);
    expect(paths({}, unable)).toEqual([]);
  });

  it("are what is there twice", () => {
    const group = { key: "g", name: "g", binding: "static", setting: open } as const;
    expect(paths({ portGroups: [group, group] })).toEqual(["portGroups[1].key", "portGroups[1].name"]);
    expect(paths({ members: [...spec.members, ...spec.members] })).toEqual(["members[1].host"]);
  });

  it("are settings whose facet is unavailable", () => {
    const setting: PortSetting = {
      ...open,
      vlan: { kind: "pvlan", primary: 5, secondary: 6, role: "isolated" },
      macLearning: { enabled: true, limit: 1, whenFull: "drop", floodUnknown: false },
      shapingIn: { averageBitsPerSecond: 1, peakBitsPerSecond: 1, burstBytes: 1, packetsPerSecond: 0 },
      filters: [{ name: "f", direction: "in", match: {}, action: { kind: "accept", related: true } }],
    };
    const found = paths({ portGroups: [{ key: "g", name: "g", binding: "static", setting }] }, unable);
    expect(found).toEqual(
      ["vlan", "macLearning", "shapingIn", "filters", "filters[0].action"].map((at) => `portGroups[0].setting.${at}`),
    );
    expect(paths({ multicastSnooping: true, discovery: "both" }, unable)).toEqual(["discovery", "multicastSnooping"]);
    expect(paths({ transport: "uplinks" }, unable)).toEqual(["transport"]);
  });

  it("are references to nothing", () => {
    const teaming = {
      policy: "failoverOrder",
      active: ["up"],
      standby: [],
      failback: true,
      notifySwitches: true,
    } as const;
    const filters = [{ name: "f", direction: "in", match: {}, action: { kind: "mirror", session: "absent" } }] as const;
    const portGroups = [{ key: "g", name: "g", binding: "static", setting: { ...open, teaming, filters } }] as const;
    expect(paths({ portGroups })).toEqual(["portGroups[0].setting.teaming", "portGroups[0].setting.filters[0].action"]);
    const uplinks = [{ name: "up", backing: { kind: "interface", interfaceName: "eth0" } }] as const;
    expect(paths({ members: [{ host: "a", uplinks }] })).toEqual(["members[0].uplinks"]);
  });
});

describe("the problems of a setting", () => {
  it("are values that contradict each other", () => {
    expect(settingPaths({ vlan: { kind: "trunk", ranges: [{ from: 5, to: 4 }] } })).toEqual(["s.vlan.ranges[0]"]);
    expect(settingPaths({ vlan: { kind: "trunk", ranges: [], native: 7 } })).toEqual(["s.vlan.native"]);
    expect(settingPaths({ vlan: { kind: "pvlan", primary: 5, secondary: 5, role: "isolated" } })).toEqual([
      "s.vlan.secondary",
    ]);
    const shapingOut = { averageBitsPerSecond: 2, peakBitsPerSecond: 1, burstBytes: 1, packetsPerSecond: 0 };
    expect(settingPaths({ shapingOut })).toEqual(["s.shapingOut"]);
  });

  it.each(["192.0.2.0/33", "192.0.2.0", "x/8", "::/129", "1.2.3.4/8/9", "1.2.3.4/-1", "fe80::1%eth0/64"])(
    "are prefixes like '%s'",
    (prefix) => {
      const match = { sourcePrefix: prefix };
      expect(settingPaths({ filters: [{ name: "f", direction: "in", match, action: { kind: "drop" } }] })).toEqual([
        "s.filters[0].match.sourcePrefix",
      ]);
    },
  );

  it.each(["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "::1/128"])("are not prefixes like '%s'", (prefix) => {
    const match = { destinationPrefix: prefix };
    expect(settingPaths({ filters: [{ name: "f", direction: "in", match, action: { kind: "drop" } }] })).toEqual([]);
  });
});

describe("the problems of a VM's addresses", () => {
  it("are what is no address, and zones", () => {
    const wrong = ["", "dynamic", "192.0.2.1 unknown", "192.0.2.1/24", "fe80::1%eth0"];
    const paths = addressProblems(["192.0.2.7", "2001:db8::7", ...wrong]).map(({ path }) => path);
    expect(paths).toEqual(wrong.map((_, at) => `addresses[${at + 2}]`));
    expect(addressProblems(undefined)).toEqual([]);
  });
});
