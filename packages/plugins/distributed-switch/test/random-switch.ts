import fc from "fast-check";
import type { FilterRule } from "../src/dataplane/filter-rule.ts";
import { BROADCAST_MAC } from "../src/dataplane/mac-address.ts";
import type { MirrorSession } from "../src/dataplane/mirror-session.ts";
import type { Gate, PortSettings } from "../src/dataplane/switch-port.ts";
import { access, nic, nicText, NONE, trunk } from "./engine-bench.ts";
import { ipFrame } from "./packet.ts";

/** Random settings and traffic for a switch of `PORTS` ports with every feature. */
export const PORTS = 6;
export const PEERS: readonly string[] = ["h2", "h3"];
export const UPLINKS: readonly string[] = ["u1", "u2"];

const vlan = fc.constantFrom<PortSettings["vlan"]>(
  NONE,
  access(10),
  access(10),
  access(10),
  access(20),
  trunk(1, 100),
  trunk(1, 100, 10),
  { kind: "pvlan", primary: 30, secondary: 30, role: "promiscuous" },
  { kind: "pvlan", primary: 30, secondary: 31, role: "isolated" },
  { kind: "pvlan", primary: 30, secondary: 32, role: "community" },
);

/** Undefined most of the time. */
function rarely<T>(arbitrary: fc.Arbitrary<T>, oneIn: number): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: oneIn - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

const filter: fc.Arbitrary<FilterRule> = fc.record({
  name: fc.constantFrom("one", "two"),
  direction: fc.constantFrom("in", "out", "both"),
  match: fc.constantFrom<FilterRule["match"]>(
    {},
    { etherType: 0x0800 },
    { vlan: 10 },
    { sourcePrefix: "10.0.0.0/8", protocol: 17 },
    { destinationPrefix: "2001:db8::/32" },
    { sourcePorts: { from: 0, to: 99 } },
    { sourceMac: nicText(1) },
    { destinationMac: "ff:ff:ff:ff:ff:ff" },
  ),
  action: fc.constantFrom<FilterRule["action"]>(
    { kind: "accept" },
    { kind: "drop" },
    { kind: "tag", priority: 5, dscp: 46 },
    { kind: "tag", dscp: 0 },
    { kind: "rateLimit", packetsPerSecond: 2 },
    { kind: "mirror", session: "a" },
    { kind: "log" },
  ),
});

const shaping = fc.constantFrom(
  { averageBitsPerSecond: 8000, peakBitsPerSecond: 80_000, burstBytes: 300, packetsPerSecond: 0 },
  { averageBitsPerSecond: 1e9, peakBitsPerSecond: 1e9, burstBytes: 1e6, packetsPerSecond: 2 },
);

export const settings: fc.Arbitrary<Omit<PortSettings, "macAddress">> = fc.record({
  vlan,
  blocked: rarely(fc.constant(true), 20),
  security: fc.record({
    promiscuous: fc.boolean(),
    forgedTransmits: fc.constantFrom(true, true, false),
    macChanges: fc.boolean(),
  }),
  macLearning: rarely(
    fc.record({
      enabled: fc.boolean(),
      limit: fc.constantFrom(0, 1, 100),
      whenFull: fc.constantFrom("drop" as const, "flood" as const),
      floodUnknown: fc.boolean(),
    }),
    2,
  ),
  filters: rarely(fc.array(filter, { minLength: 1, maxLength: 4 }), 2),
  shapingIn: rarely(shaping, 4),
  shapingOut: rarely(shaping, 4),
  teaming: rarely(
    fc.record({
      policy: fc.constantFrom("failoverOrder" as const, "originatingPort" as const, "sourceMac" as const),
      active: fc.constantFrom(["u1"], ["u2"], ["u1", "u2"]),
      standby: fc.constantFrom([], ["u3"]),
      failback: fc.boolean(),
      notifySwitches: fc.boolean(),
    }),
    2,
  ),
  mtu: rarely(fc.constantFrom(68, 500), 8),
});

const session = (name: string): fc.Arbitrary<MirrorSession> =>
  fc.record({
    name: fc.constant(name),
    sourcePorts: fc.uniqueArray(
      fc.nat(PORTS - 2).map((index) => `p${index}`),
      { maxLength: 3 },
    ),
    direction: fc.constantFrom("in", "out", "both"),
    snapLength: rarely(fc.constantFrom(14, 40), 2),
    samplingRate: rarely(fc.constantFrom(1, 2, 3), 2),
    destination: fc.constantFrom<MirrorSession["destination"]>(
      { kind: "port", portKey: `p${PORTS - 1}` },
      { kind: "port", portKey: "elsewhere" },
      { kind: "vxlan", address: "192.0.2.1", vni: 5 },
    ),
  });

const station = fc.oneof(
  { weight: 4, arbitrary: fc.nat(PORTS - 1).map(nic) },
  fc.integer({ min: 100, max: 103 }).map(nic),
);
const destination = fc.oneof(
  { weight: 4, arbitrary: station },
  fc.constantFrom(BROADCAST_MAC, 0x0100_5e01_0203, 0x0100_5e00_0001, 0x3333_0001_0203, 0x0180_c200_0000),
);

/** Well-formed packets, membership messages among them, with a tag now and then. */
const packet: fc.Arbitrary<Buffer> = fc
  .record({
    to: destination,
    from: station,
    ipv6: fc.boolean(),
    protocol: fc.constantFrom(17, 6, 1, 2, 58),
    payload: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(
        Uint8Array.of(0x16, 0, 0, 0, 224, 1, 2, 3),
        Uint8Array.of(0x11, 100, 0, 0, 0, 0, 0, 0),
        Uint8Array.of(0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 224, 1, 2, 3),
        Uint8Array.of(143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, 0xff, 2, ...new Array<number>(10).fill(0), 0, 1, 2, 3),
      ),
    ),
    fragmentOffset: rarely(fc.constantFrom(0, 8), 4),
    length: fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(0, 60) },
      { weight: 1, arbitrary: fc.constantFrom(600, 1514, 1515, 9300) },
    ),
    tag: rarely(fc.constantFrom(0, 10, 20, 31, 0x6000 | 10, 200), 4),
  })
  .map(({ ipv6, tag, length, fragmentOffset, ...rest }) => {
    const addresses = ipv6
      ? { source: "2001:db8::1", destination: "2001:db8::2" }
      : { source: "10.0.0.1", destination: "10.0.0.2" };
    const frame = ipFrame({ ...rest, ...addresses, ...(fragmentOffset === undefined ? {} : { fragmentOffset }) });
    const padded = Buffer.concat([frame, Buffer.alloc(Math.max(0, length - frame.length))]);
    if (tag === undefined) return padded;
    return Buffer.concat([padded.subarray(0, 12), Buffer.from([0x81, 0, tag >>> 8, tag & 0xff]), padded.subarray(12)]);
  });

/** ARP, often with another sender than the frame's. */
const arp: fc.Arbitrary<Buffer> = fc.tuple(station, station).map(([from, sender]) => {
  const frame = Buffer.alloc(60);
  frame.writeUIntBE(BROADCAST_MAC, 0, 6);
  frame.writeUIntBE(from, 6, 6);
  frame.set([8, 6, 0, 1, 8, 0, 6, 4, 0, 1], 12);
  frame.writeUIntBE(sender, 22, 6);
  return frame;
});

const bytes: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 2, arbitrary: arp },
  { weight: 6, arbitrary: packet },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }).map((raw) => Buffer.from(raw)) },
  // Good frames cut short or with an octet changed.
  {
    weight: 2,
    arbitrary: fc.tuple(packet, fc.nat(120), rarely(fc.nat(255), 2)).map(([frame, at, value]) => {
      if (value === undefined) return frame.subarray(0, at);
      const changed = Buffer.from(frame);
      changed[at % changed.length] = value;
      return changed;
    }),
  },
);

export type Act =
  | { readonly kind: "frame"; readonly port: number; readonly bytes: Buffer }
  | { readonly kind: "peer"; readonly peer: string; readonly vlan: number; readonly bytes: Buffer }
  | { readonly kind: "uplink"; readonly uplink: number; readonly bytes: Buffer }
  | { readonly kind: "uplinkLink"; readonly uplink: number; readonly up: boolean }
  | { readonly kind: "settings"; readonly port: number; readonly settings: Omit<PortSettings, "macAddress"> }
  | { readonly kind: "gate"; readonly port: number; readonly gate: Gate }
  | { readonly kind: "link"; readonly port: number; readonly up: boolean }
  | { readonly kind: "full"; readonly full: boolean }
  | { readonly kind: "mirrors"; readonly sessions: readonly MirrorSession[] }
  | { readonly kind: "later"; readonly ms: number };

const port = fc.nat(PORTS - 1);
const peerVlan = fc.constantFrom(0, 10, 20, 30, 31, 32, 4094);

/** Frames mostly; changes of everything else now and then. */
export const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 30, arbitrary: fc.record({ kind: fc.constant("frame" as const), port, bytes }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("peer" as const),
      peer: fc.constantFrom(...PEERS),
      vlan: peerVlan,
      bytes,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("uplink" as const), uplink: fc.nat(UPLINKS.length - 1), bytes }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("uplinkLink" as const),
      uplink: fc.nat(UPLINKS.length - 1),
      up: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("settings" as const), port, settings }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("gate" as const),
      port,
      gate: fc.constantFrom<Gate>("open", "hold", "drop"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("link" as const), port, up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("full" as const), full: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.tuple(session("a"), session("b")).map((sessions) => ({ kind: "mirrors" as const, sessions })),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("later" as const), ms: fc.nat(400) }) },
);
