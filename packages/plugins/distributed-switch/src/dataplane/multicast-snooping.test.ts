import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { access, Bench, frame, nic, nicText, trunk } from "../../test/engine-bench.ts";
import { addressBytes, ipFrame } from "../../test/packet.ts";
import { internetChecksum, transportChecksum } from "../wire/packet/internet-checksum.ts";
import { membershipQuery } from "./membership-query.ts";
import type { SwitchPort } from "./switch-port.ts";

const V4_GROUP = 0x0100_5e01_0203;
const V6_GROUP = 0x3333_0001_0203;

/** An IGMP message of `port`'s VM, or of a router there. */
function igmp(from: number, to: number, message: readonly number[], source: string = "10.0.0.1"): Buffer {
  const payload = Buffer.from(message);
  payload.writeUInt16BE(internetChecksum(payload), 2);
  return ipFrame({ to, from, source, destination: "224.1.2.3", protocol: 2, payload });
}

function mld(from: number, to: number, message: readonly number[]): Buffer {
  const payload = Buffer.from(message);
  const [source, destination, protocol] = ["fe80::1", "ff02::16", 58];
  const addresses = { source: addressBytes(source), destination: addressBytes(destination), protocol };
  payload.writeUInt16BE(transportChecksum(payload, addresses), 2);
  return ipFrame({
    to,
    from,
    source,
    destination,
    protocol,
    payload,
    // Router alert in a hop-by-hop header, as RFC 2710 asks.
    extensions: [{ header: 0, bytes: Uint8Array.of(0, 0, 5, 2, 0, 0, 1, 0) }],
  });
}

const group4 = [224, 1, 2, 3];
const group6 = [...addressBytes("ff0e::1:203")];
const joins: Readonly<Record<string, (from: number) => Buffer>> = {
  IGMPv1: (from) => igmp(from, V4_GROUP, [0x12, 0, 0, 0, ...group4]),
  IGMPv2: (from) => igmp(from, V4_GROUP, [0x16, 0, 0, 0, ...group4]),
  IGMPv3: (from) => igmp(from, 0x0100_5e00_0016, [0x22, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, ...group4]),
  "IGMPv3 with sources": (from) =>
    igmp(from, 0x0100_5e00_0016, [0x22, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, ...group4, 10, 0, 0, 9]),
  MLDv1: (from) => mld(from, V6_GROUP, [131, 0, 0, 0, 0, 0, 0, 0, ...group6]),
  MLDv2: (from) => mld(from, 0x3333_0000_0016, [143, 0, 0, 0, 0, 0, 0, 1, 4, 0, 0, 0, ...group6]),
};
const leaves: Readonly<Record<string, (from: number) => Buffer>> = {
  IGMPv2: (from) => igmp(from, 0x0100_5e00_0002, [0x17, 0, 0, 0, ...group4]),
  IGMPv3: (from) => igmp(from, 0x0100_5e00_0016, [0x22, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, ...group4]),
  MLDv1: (from) => mld(from, 0x3333_0000_0002, [132, 0, 0, 0, 0, 0, 0, 0, ...group6]),
  MLDv2: (from) => mld(from, 0x3333_0000_0016, [143, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0, 0, ...group6]),
};
const query = (from: number): Buffer => igmp(from, 0x0100_5e00_0001, [0x11, 100, 0, 0, 0, 0, 0, 0], "10.0.0.254");

class Multicast extends Bench {
  time: { ms: number };
  readonly ports: readonly SwitchPort[];

  constructor(peers: readonly string[] = []) {
    const time = { ms: 0 };
    super({ now: () => time.ms }, peers);
    this.time = time;
    this.engine.snooping.enabled = true;
    this.ports = [1, 2, 3, 4].map((index) => this.port(index, access(10)));
  }

  from(index: number, bytes: Buffer): string[] {
    this.engine.flush();
    this.send(this.ports[index - 1] as SwitchPort, bytes);
    return Object.keys(this.take());
  }

  /** Who gets a frame of the group from the first port. */
  members(group: number): string[] {
    return this.from(1, frame(group, nic(1)));
  }
}

describe("multicast snooping", () => {
  it("sends a group's frames to its members, whichever message says so", () => {
    for (const [kind, join] of Object.entries(joins)) {
      const group = kind.startsWith("IGMP") ? V4_GROUP : V6_GROUP;
      const bench = new Multicast();
      expect(bench.members(group), kind).toEqual(["p2", "p3", "p4"]);
      bench.from(2, join(nic(2)));
      expect(bench.members(group), kind).toEqual(["p2"]);
      bench.from(4, join(nic(4)));
      expect(bench.members(group), kind).toEqual(["p2", "p4"]);
      const leave = leaves[kind];
      if (leave === undefined) continue;
      bench.from(2, leave(nic(2)));
      expect(bench.members(group), kind).toEqual(["p2", "p4"]);
      bench.time.ms += 2000;
      expect(bench.members(group), kind).toEqual(["p4"]);
    }
  });

  it("forgets members that don't report any more, and floods what has none", () => {
    const bench = new Multicast();
    bench.from(2, joins.IGMPv2?.(nic(2)) as Buffer);
    bench.time.ms = 200_000;
    bench.from(3, joins.IGMPv2?.(nic(3)) as Buffer);
    bench.time.ms = 260_000;
    expect(bench.members(V4_GROUP)).toEqual(["p3"]);
    bench.engine.flush();
    bench.engine.tick();
    bench.time.ms = 460_000;
    expect(bench.members(V4_GROUP)).toEqual(["p2", "p3", "p4"]);
  });

  it("sends reports to routers alone, and routers everything", () => {
    const bench = new Multicast();
    expect(bench.from(2, joins.IGMPv2?.(nic(2)) as Buffer)).toEqual([]);
    expect(bench.from(4, query(nic(4)))).toEqual(["p1", "p2", "p3"]);
    expect(bench.from(2, joins.IGMPv3?.(nic(2)) as Buffer)).toEqual(["p4"]);
    expect(bench.members(V4_GROUP)).toEqual(["p2", "p4"]);
    bench.time.ms = 255_000;
    expect(bench.members(V4_GROUP)).toEqual(["p2"]);
  });

  it("doesn't take a switch's query for a router's", () => {
    const bench = new Multicast();
    bench.from(4, igmp(nic(4), 0x0100_5e00_0001, [0x11, 100, 0, 0, 0, 0, 0, 0], "0.0.0.0"));
    expect(bench.from(2, joins.IGMPv2?.(nic(2)) as Buffer)).toEqual([]);
  });

  it("always floods link-local groups and broadcasts, and keeps VLANs apart", () => {
    const bench = new Multicast();
    const other = bench.port(5, trunk(1, 100));
    for (const [group, address] of [
      [0x0100_5e00_00fb, [224, 0, 0, 251]],
      [0x3333_0000_00fb, undefined],
    ] as const) {
      if (address !== undefined) bench.from(2, igmp(nic(2), group, [0x16, 0, 0, 0, ...address]));
      expect(bench.members(group)).toEqual(["p2", "p3", "p4", "p5"]);
    }
    bench.send(other, tagged(joins.IGMPv2?.(nic(5)) as Buffer, 20));
    expect(bench.members(V4_GROUP)).toEqual(["p2", "p3", "p4", "p5"]);
    bench.send(other, tagged(joins.IGMPv2?.(nic(5)) as Buffer, 10));
    expect(bench.members(V4_GROUP)).toEqual(["p5"]);
  });

  it("knows members on other hosts, and tells them of its own", () => {
    const bench = new Multicast(["h2", "h3"]);
    bench.from(2, joins.IGMPv2?.(nic(2)) as Buffer);
    expect(bench.tunnelled.splice(0).map(({ peer }) => peer)).toEqual(["h2", "h3"]);
    bench.fromPeer("h3", 10, joins.IGMPv2?.(nic(70)) as Buffer);
    expect(bench.members(V4_GROUP)).toEqual(["p2"]);
    expect(bench.tunnelled.splice(0).map(({ peer }) => peer)).toEqual(["h3"]);
    bench.fromPeer("h2", 10, frame(V4_GROUP, nic(71)));
    expect(Object.keys(bench.take())).toEqual(["p2"]);
    expect(bench.tunnelled).toEqual([]);
    bench.engine.removePeer("h3");
    bench.members(V4_GROUP);
    expect(bench.tunnelled).toEqual([]);
  });

  it("is bounded: who asks for too many groups gets all", () => {
    const bench = new Multicast();
    for (let index = 0; index < 1100; index += 1) {
      bench.from(2, igmp(nic(2), V4_GROUP, [0x16, 0, 0, 0, 225, 1, index >>> 8, index & 0xff]));
    }
    bench.from(3, joins.IGMPv2?.(nic(3)) as Buffer);
    expect(bench.members(V4_GROUP)).toEqual(["p2", "p3"]);
    expect(bench.engine.exportPort(bench.ports[1] as SwitchPort).groups).toHaveLength(1024);
  });

  it("moves memberships with a port, and lets go of them with its VLAN", () => {
    const bench = new Multicast();
    bench.from(2, joins.IGMPv2?.(nic(2)) as Buffer);
    const there = new Multicast();
    there.engine.importPort(there.ports[2] as SwitchPort, bench.engine.exportPort(bench.ports[1] as SwitchPort));
    // Its guest is asked to tell the other hosts: by something that is no frame of a router.
    expect(Object.keys(there.take())).toEqual(["p3"]);
    expect(there.members(V4_GROUP)).toEqual(["p3"]);
    there.engine.configurePort(there.ports[2] as SwitchPort, { macAddress: nicText(3), vlan: access(20) });
    expect(there.members(V4_GROUP)).toEqual(["p2", "p4"]);
  });

  it("believes nothing whose checksums are wrong, and looks at nothing behind the packet", () => {
    for (const [kind, join] of Object.entries(joins)) {
      const group = kind.startsWith("IGMP") ? V4_GROUP : V6_GROUP;
      const bench = new Multicast();
      // A bit of the message, and of an IPv4 header its time to live.
      const length = join(nic(2)).length;
      for (const at of kind.startsWith("IGMP") ? [length - 1, 22] : [length - 1]) {
        const wrong = join(nic(2));
        wrong[at] = (wrong[at] ?? 0) ^ 1;
        bench.from(2, wrong);
        expect(bench.members(group), kind).toEqual(["p2", "p3", "p4"]);
      }
      bench.from(2, Buffer.concat([join(nic(2)), Buffer.from("padding")]));
      expect(bench.members(group), kind).toEqual(["p2"]);
    }
  });

  it("asks for memberships in frames that it would believe itself", () => {
    for (const family of ["igmp", "mld"] as const) {
      const bench = new Multicast();
      const query = Buffer.from(membershipQuery(family).subarray(4));
      // From its own mouth a query reaches everybody; a wrong checksum would make it a frame of a group.
      expect(bench.from(4, withSource(query, nic(4)))).toEqual(["p1", "p2", "p3"]);
      bench.from(2, joins.IGMPv2?.(nic(2)) as Buffer);
      // MLD's comes from a link-local address, as each must, and so from what may be a router.
      expect(bench.members(V4_GROUP)).toEqual(family === "igmp" ? ["p2"] : ["p2", "p4"]);
    }
  });

  it("reads any bytes without throwing", () => {
    const bench = new Multicast();
    const message = fc.tuple(
      fc.constantFrom(...Object.values(joins), ...Object.values(leaves)),
      fc.nat(120),
      fc.nat(255),
    );
    fc.assert(
      fc.property(message, fc.constantFrom("cut", "changed", "changed and right"), ([make, at, value], how) => {
        const bytes = make(nic(2));
        if (how === "cut") bench.from(2, Buffer.concat([bytes.subarray(0, at), Buffer.alloc(Math.max(0, 18 - at))]));
        else {
          bytes[at % bytes.length] = value;
          if (how === "changed and right") withChecksums(bytes);
          bench.from(2, bytes);
        }
      }),
      { seed: 37, numRuns: process.env.VDC_DEEP ? 20_000 : 1000 },
    );
  });
});

/** Makes the checksums of a message right whose bytes were changed. */
function withChecksums(bytes: Buffer): void {
  if (bytes.readUInt16BE(12) === 0x0800) {
    bytes.writeUInt16BE(0, 24);
    bytes.writeUInt16BE(internetChecksum(bytes, 14, 34), 24);
    bytes.writeUInt16BE(0, 36);
    bytes.writeUInt16BE(internetChecksum(bytes, 34), 36);
  } else if (bytes.readUInt16BE(12) === 0x86dd) {
    bytes.writeUInt16BE(0, 64);
    const [source, destination] = [bytes.subarray(22, 38), bytes.subarray(38, 54)];
    bytes.writeUInt16BE(transportChecksum(bytes.subarray(62), { source, destination, protocol: 58 }), 64);
  }
}

function withSource(bytes: Buffer, mac: number): Buffer {
  bytes.writeUIntBE(mac, 6, 6);
  return bytes;
}

function tagged(bytes: Buffer, vlan: number): Buffer {
  return Buffer.concat([bytes.subarray(0, 12), Buffer.from([0x81, 0, 0, vlan]), bytes.subarray(12)]);
}
