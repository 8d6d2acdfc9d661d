import type { PortSetting, VlanSetting } from "@vdc-os/core/network/v1";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type KeptSwitch, noCounters, type PortRecord } from "../control/records.ts";
import { type BridgePorts, switchFlows } from "./switch-flows.ts";
import { traceFlows } from "./trace-flows.ts";
import { readFrame } from "./traced-frame.ts";
import { maskedRange } from "./value-ranges.ts";

const runs = { seed: 20_261_123, numRuns: process.env.VDC_DEEP ? 5_000 : 300 };
const hosts = ["a", "b", "c"];

interface Station {
  readonly host: string;
  readonly vlan: VlanSetting;
  readonly blocked: boolean;
  readonly promiscuous: boolean;
}

function settingOf({ vlan, blocked, promiscuous }: Station): PortSetting {
  return { vlan, blocked, security: { promiscuous, forgedTransmits: false, macChanges: false } };
}

function keptOf(stations: readonly Station[]): KeptSwitch {
  const members = hosts.map((host) => ({ host, uplinks: [] }));
  const spec = { switchId: "s", name: "s", mtu: 1400, transport: "overlay", members, portGroups: [] } as const;
  const ports = stations.map((station, index): PortRecord => {
    const portKey = `p${index}`;
    return {
      switchId: "s",
      portKey,
      number: index + 1,
      portGroup: "own",
      host: station.host,
      mac: macOf(index),
      addresses: [],
      generation: 1,
      lowest: 1,
      attachment: 1,
      connected: true,
      gate: "open",
      carried: noCounters,
      setting: settingOf(station),
    };
  });
  return {
    sequence: 1,
    record: { spec, generation: 1, number: 1 },
    ports: new Map(ports.map((port) => [port.portKey, port])),
  };
}

/** NICs are 100 and up, tunnels 10 and up. */
function bridgeOf(host: string): BridgePorts {
  return {
    host,
    nic: (port) => (port.host === host ? 99 + port.number : undefined),
    tunnel: (other, kind) => (other === host || kind === "copies" ? undefined : 10 + hosts.indexOf(other)),
  };
}

function macOf(index: number): string {
  return `52:54:00:00:00:${index.toString(16).padStart(2, "0")}`;
}

function frameOf(from: number, to: string, tag: number | undefined): Buffer {
  const tagged = tag === undefined ? "" : `8100${tag.toString(16).padStart(4, "0")}`;
  return Buffer.from(`${to}${macOf(from)}${tagged}88b5`.replaceAll(":", "").padEnd(120, "0"), "hex");
}

/** What each station gets, by its index: the tag, or `untagged`. */
function delivered(kept: KeptSwitch, from: number, to: string, tag: number | undefined): ReadonlyMap<number, string> {
  const got = new Map<number, string>();
  const follow = (host: string, frame: ReturnType<typeof readFrame>, inPort: number): void => {
    const { flows } = switchFlows(kept, bridgeOf(host));
    for (const { port, tags } of traceFlows(flows, frame, inPort).outputs) {
      const other = hosts[port - 10];
      if (other !== undefined) follow(other, { ...frame, tags }, 10 + hosts.indexOf(host));
      else {
        expect(got.has(port - 100), "no frame is delivered twice").toBe(false);
        got.set(port - 100, tags[0] === undefined ? "untagged" : String(tags[0]));
      }
    }
  };
  const sender = kept.ports.get(`p${from}`) as PortRecord;
  follow(sender.host, readFrame(frameOf(from, to, tag)), 100 + from);
  return got;
}

/** The VLAN that a frame of a station is in; undefined where it may not be sent. RFC 5517 for private ones. */
function vlanOf({ vlan, blocked }: Station, tag: number | undefined): number | undefined {
  if (blocked) return undefined;
  if (vlan.kind === "trunk") {
    const id = tag ?? vlan.native;
    return id !== undefined && vlan.ranges.some(({ from, to }) => from <= id && id <= to) ? id : undefined;
  }
  if (tag !== undefined) return undefined;
  return vlan.kind === "none" ? 0 : vlan.kind === "access" ? vlan.id : vlan.secondary;
}

function reception(
  { vlan, blocked }: Station,
  id: number,
  isPrivate: (primary: number, id: number) => boolean,
): string | undefined {
  if (blocked) return undefined;
  switch (vlan.kind) {
    case "none":
      return id === 0 ? "untagged" : undefined;
    case "access":
      return id === vlan.id ? "untagged" : undefined;
    case "trunk":
      if (!vlan.ranges.some(({ from, to }) => from <= id && id <= to)) return undefined;
      return id === vlan.native ? "untagged" : String(id);
    case "pvlan": {
      const hears =
        id === vlan.primary ||
        (vlan.role === "community" && id === vlan.secondary) ||
        (vlan.role === "promiscuous" && isPrivate(vlan.primary, id));
      return hears ? "untagged" : undefined;
    }
  }
}

const id = fc.integer({ min: 1, max: 12 });
const range = fc.tuple(id, id).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
const vlan: fc.Arbitrary<VlanSetting> = fc.oneof(
  fc.constant<VlanSetting>({ kind: "none" }),
  id.map((each): VlanSetting => ({ kind: "access", id: each })),
  fc
    .tuple(fc.array(range, { maxLength: 3 }), fc.option(id, { nil: undefined }))
    .map(([ranges, native]): VlanSetting => ({ kind: "trunk", ranges, ...(native === undefined ? {} : { native }) })),
  // Private VLANs are numbers of their own, as they are in a network.
  fc.constantFrom<VlanSetting>(
    { kind: "pvlan", primary: 100, secondary: 100, role: "promiscuous" },
    { kind: "pvlan", primary: 100, secondary: 101, role: "isolated" },
    { kind: "pvlan", primary: 100, secondary: 102, role: "community" },
    { kind: "pvlan", primary: 100, secondary: 103, role: "community" },
  ),
);
const station: fc.Arbitrary<Station> = fc.record({
  host: fc.constantFrom(...hosts),
  vlan,
  blocked: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  promiscuous: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
});

test("a broadcast reaches whoever has its VLAN, once, on every host, and nobody else", () => {
  fc.assert(
    fc.property(
      fc.array(station, { minLength: 1, maxLength: 8 }),
      fc.option(id, { nil: undefined }),
      (stations, tag) => {
        const kept = keptOf(stations);
        const isPrivate = (primary: number, each: number): boolean =>
          stations.some(({ vlan: v }) => v.kind === "pvlan" && v.primary === primary && v.secondary === each);
        const sent = vlanOf(stations[0] as Station, tag);
        const wanted = stations.flatMap((each, index) => {
          const form = index === 0 || sent === undefined ? undefined : reception(each, sent, isPrivate);
          return form === undefined ? [] : [[index, form] as const];
        });
        const got = delivered(kept, 0, "ffffffffffff", tag);
        expect([...got].sort()).toEqual([...wanted].sort());
      },
    ),
    runs,
  );
});

test("a frame for one station reaches that one and who may listen beside it, and nobody else", () => {
  fc.assert(
    fc.property(fc.array(station, { minLength: 2, maxLength: 8 }), (stations) => {
      const kept = keptOf(stations);
      const isPrivate = (primary: number, each: number): boolean =>
        stations.some(({ vlan: v }) => v.kind === "pvlan" && v.primary === primary && v.secondary === each);
      const sent = vlanOf(stations[0] as Station, undefined);
      const got = delivered(kept, 0, macOf(1), undefined);
      const mayHear = (index: number): boolean =>
        sent !== undefined && reception(stations[index] as Station, sent, isPrivate) !== undefined;
      expect(got.has(1)).toBe(mayHear(1));
      for (const index of got.keys()) {
        expect(mayHear(index), `station ${index}`).toBe(true);
        expect(index === 1 || stations[index]?.promiscuous, `station ${index}`).toBe(true);
      }
    }),
    runs,
  );
});

test("a range of numbers is covered exactly by its masked values", () => {
  fc.assert(
    fc.property(fc.nat(4095), fc.nat(4095), (a, b) => {
      const [from, to] = [Math.min(a, b), Math.max(a, b)];
      const masks = maskedRange(from, to, 12);
      expect(masks.length).toBeLessThanOrEqual(22);
      for (const each of [from - 1, from, Math.floor((from + to) / 2), to, to + 1]) {
        if (each < 0 || each > 4095) continue;
        const covered = masks.filter(({ value, mask }) => (each & mask) === value).length;
        expect(covered).toBe(from <= each && each <= to ? 1 : 0);
      }
    }),
    runs,
  );
});

test("a host that was cut off reaches nobody with the address of a port that has gone elsewhere", () => {
  const open: Station = { host: "a", vlan: { kind: "none" }, blocked: false, promiscuous: false };
  const now = keptOf([
    { ...open, host: "b" },
    { ...open, host: "c" },
  ]);
  const frame = readFrame(frameOf(0, "ffffffffffff", undefined));
  const { flows } = switchFlows(now, bridgeOf("c"));
  const from = (host: string) => traceFlows(flows, frame, 10 + hosts.indexOf(host)).outputs;
  expect(from("a")).toEqual([]);
  expect(from("b")).toEqual([{ port: 101, tags: [] }]);
});
