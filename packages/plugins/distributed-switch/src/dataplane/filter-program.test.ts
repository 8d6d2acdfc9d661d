import { describe, expect, it } from "vitest";
import { access, Bench, frame, nic, trunk } from "../../test/engine-bench.ts";
import { internetChecksum, ipFrame, type PacketOptions, ports } from "../../test/packet.ts";
import type { FilterAction, FilterMatch, FilterRule } from "./filter-rule.ts";
import { parsePrefix } from "./ip-prefix.ts";
import type { SwitchPort } from "./switch-port.ts";

const UDP = 17;
const TCP = 6;
const base = { to: nic(2), from: nic(1), source: "10.1.2.3", destination: "10.9.9.9", protocol: UDP } as const;
const base6 = { ...base, source: "2001:db8::1", destination: "2001:db8:ffff::2" } as const;

const rule = (match: FilterMatch, action: FilterAction, direction: FilterRule["direction"] = "in"): FilterRule => ({
  name: JSON.stringify(match),
  direction,
  match,
  action,
});

/** Two ports, the first with these rules; what arrives at the second is kept as bytes. */
class FilterBench extends Bench {
  readonly a: SwitchPort;
  readonly b: SwitchPort;
  readonly arrived: Buffer[] = [];

  constructor(filters: readonly FilterRule[], options: { toB?: readonly FilterRule[]; now?: () => number } = {}) {
    super(options.now === undefined ? {} : { now: options.now });
    this.a = this.port(1, access(10), { filters });
    this.b = this.engine.addPort(
      "b",
      { macAddress: "52:54:00:00:00:02", vlan: trunk(1, 100), filters: options.toB },
      {
        deliver: (buffer, start, end) => {
          this.arrived.push(Buffer.from(buffer.subarray(start, end)));
          return undefined;
        },
        flush: () => undefined,
      },
    );
    this.b.linkUp = true;
  }

  passes(options: PacketOptions): boolean {
    const before = this.arrived.length;
    this.send(this.a, ipFrame(options));
    return this.arrived.length > before;
  }
}

describe("filter rules", () => {
  it("match what they state, and nothing else", () => {
    const cases: [FilterMatch, PacketOptions, boolean][] = [
      [{}, base, true],
      [{ sourceMac: "52:54:00:00:00:01" }, base, true],
      [{ sourceMac: "52:54:00:00:00:02" }, base, false],
      [{ destinationMac: "52:54:00:00:00:02" }, base, true],
      [{ etherType: 0x0800 }, base, true],
      [{ etherType: 0x86dd }, base, false],
      [{ vlan: 10 }, base, true],
      [{ vlan: 11 }, base, false],
      [{ sourcePrefix: "10.1.0.0/16" }, base, true],
      [{ sourcePrefix: "10.2.0.0/16" }, base, false],
      [{ sourcePrefix: "0.0.0.0/0" }, base, true],
      [{ sourcePrefix: "0.0.0.0/0" }, base6, false],
      [{ destinationPrefix: "10.9.9.9" }, base, true],
      [{ destinationPrefix: "2001:db8:ffff::/48" }, base6, true],
      [{ destinationPrefix: "2001:db8:fffe::/48" }, base6, false],
      [{ sourcePrefix: "::/0" }, base6, true],
      [{ protocol: UDP }, base, true],
      [{ protocol: TCP }, base, false],
      [{ destinationPorts: { from: 50, to: 60 } }, { ...base, payload: ports(1000, 53) }, true],
      [{ destinationPorts: { from: 50, to: 52 } }, { ...base, payload: ports(1000, 53) }, false],
      [{ sourcePorts: { from: 1000, to: 1000 } }, { ...base6, payload: ports(1000, 53) }, true],
      [{ sourcePorts: { from: 0, to: 65535 } }, { ...base, protocol: 1 }, false],
      // Fragments: only the first has ports.
      [{ sourcePorts: { from: 0, to: 65535 } }, { ...base, fragmentOffset: 64, payload: ports(1, 1) }, false],
      [{ protocol: UDP }, { ...base, fragmentOffset: 64, payload: ports(1, 1) }, true],
      [{ sourcePorts: { from: 0, to: 65535 } }, { ...base6, fragmentOffset: 0, payload: ports(1, 1) }, true],
      [{ sourcePorts: { from: 0, to: 65535 } }, { ...base6, fragmentOffset: 64, payload: ports(1, 1) }, false],
      [{ protocol: UDP }, { ...base6, fragmentOffset: 64 }, true],
      // Behind extension headers.
      [
        { destinationPorts: { from: 53, to: 53 } },
        {
          ...base6,
          extensions: Array.from({ length: 20 }, () => ({ header: 60, bytes: Buffer.alloc(8) })),
          payload: ports(1, 53),
        },
        true,
      ],
      [{ protocol: UDP }, { ...base6, payload: Buffer.alloc(0) }, true],
      [{ destinationPorts: { from: 0, to: 65535 } }, { ...base6, payload: Buffer.alloc(2) }, false],
    ];
    for (const [match, packet, matches] of cases) {
      const bench = new FilterBench([rule(match, { kind: "drop" })]);
      expect(bench.passes(packet), JSON.stringify([match, packet])).toBe(!matches);
      expect(bench.a.statistics().in.drops).toEqual(matches ? { filtered: 1 } : {});
    }
  });

  it("decide in order: the first that accepts or drops", () => {
    const bench = new FilterBench([
      rule({ destinationPorts: { from: 53, to: 53 } }, { kind: "accept" }),
      rule({ protocol: UDP }, { kind: "drop" }),
    ]);
    expect(bench.passes({ ...base, payload: ports(1, 53) })).toBe(true);
    expect(bench.passes({ ...base, payload: ports(1, 54) })).toBe(false);
    expect(bench.passes({ ...base, protocol: TCP })).toBe(true);
    expect(bench.a.policyIn?.parts.filter?.statistics().map(({ matched }) => matched)).toEqual([1, 1]);
  });

  it("count what they drop on the way to a port at that port", () => {
    const bench = new FilterBench([], { toB: [rule({ protocol: UDP }, { kind: "drop" }, "both")] });
    expect(bench.passes(base)).toBe(false);
    expect(bench.a.statistics().forwarded).toBe(1);
    expect(bench.b.statistics().out.drops).toEqual({ filtered: 1 });
  });

  it("set DSCP and priority, keep ECN, and leave a right checksum", () => {
    for (const packet of [
      { ...base, trafficClass: 0x03 },
      { ...base, trafficClass: 0xff },
      { ...base6, trafficClass: 0x03 },
    ]) {
      const bench = new FilterBench([rule({}, { kind: "tag", priority: 5, dscp: 46 })]);
      const original = ipFrame(packet);
      const kept = Buffer.from(original);
      bench.send(bench.a, original);
      expect(original.equals(kept)).toBe(true);
      const [out = Buffer.alloc(0)] = bench.arrived;
      expect(out.readUInt16BE(14)).toBe((5 << 13) | 10);
      const ip = out.subarray(18);
      if (ip.readUInt8(0) >>> 4 === 4) {
        expect(ip.readUInt8(1)).toBe((46 << 2) | 3);
        expect(internetChecksum(ip.subarray(0, 20))).toBe(0);
      } else {
        expect((ip.readUInt16BE(0) >>> 4) & 0xff).toBe((46 << 2) | 3);
        expect(ip.readUInt16BE(0) >>> 12).toBe(6);
      }
    }
  });

  it("change a frame for one port and not for others, and a tag that is there", () => {
    const toB = [rule({}, { kind: "tag", priority: 3, dscp: 10 }, "out")];
    const bench = new FilterBench([], { toB });
    bench.port(3, trunk(1, 100));
    const c = bench.port(4, trunk(1, 100));
    const record = ipFrame({ ...base, to: 0xffff_ffff_ffff, from: nic(4) });
    const tagged = Buffer.concat([record.subarray(0, 12), Buffer.from([0x81, 0, 0x20, 10]), record.subarray(12)]);
    bench.send(c, tagged);
    expect(bench.arrived[0]?.readUInt16BE(14)).toBe((3 << 13) | 10);
    expect(bench.arrived[0]?.readUInt8(19)).toBe(10 << 2);
    expect(tagged.readUInt16BE(14)).toBe((1 << 13) | 10);
    expect(Object.keys(bench.take())).toEqual(["p1", "p3"]);
  });

  it("limit a rate, each direction and port by itself, and come back as time passes", () => {
    let now = 0;
    const limit = rule({ protocol: UDP }, { kind: "rateLimit", packetsPerSecond: 20 });
    const bench = new FilterBench([limit], { now: () => now });
    const passed = (count: number): number =>
      Array.from({ length: count }, () => bench.passes(base)).filter(Boolean).length;
    expect(passed(10)).toBe(2);
    now = 1000;
    bench.engine.flush();
    expect(passed(10)).toBe(2);
    expect(bench.a.statistics().in.drops).toEqual({ rateLimited: 16 });
    expect(bench.passes({ ...base, protocol: TCP })).toBe(true);
  });

  it("log, bounded in number and in rate, and copy to sessions", () => {
    let now = 0;
    const bench = new FilterBench([rule({}, { kind: "log" }), rule({}, { kind: "mirror", session: "m" })], {
      now: () => now,
    });
    bench.port(9, access(10));
    bench.engine.directory.setMirrors([
      { name: "m", sourcePorts: [], direction: "both", destination: { kind: "port", portKey: "p9" } },
    ]);
    for (let id = 0; id < 5; id += 1) bench.send(bench.a, frame(nic(2), nic(1), { id }));
    expect(bench.take().p9).toHaveLength(5);
    expect(bench.engine.log.read()).toMatchObject([
      { sequence: 1, portKey: "p1", direction: "in", count: 5, sourceMac: "52:54:00:00:00:01", vlan: 10 },
    ]);
    for (let to = 0; to < 5000; to += 1) bench.send(bench.a, frame(nic(0x100 + to), nic(1)));
    expect(bench.engine.log.read(1)).toHaveLength(99);
    expect(bench.engine.log.suppressed).toBe(4901);
    for (let second = 1; second < 40; second += 1) {
      now = second * 1000;
      bench.engine.flush();
      for (let to = 0; to < 200; to += 1) bench.send(bench.a, frame(nic(0x100 + to), nic(1)));
    }
    const events = bench.engine.log.read();
    expect(events).toHaveLength(1024);
    expect(bench.engine.log.read(events.at(-2)?.sequence)).toEqual(events.slice(-1));
  });

  it("refuse prefixes that are none", () => {
    for (const text of ["", "10.0.0.0/33", "10.0.0/8", "::/129", "fe80::1%eth0", "10.0.0.0/8/8", "10.0.0.0/-1", "a"]) {
      expect(parsePrefix(text), text).toBeUndefined();
    }
    expect(parsePrefix("::ffff:1.2.3.4")?.words).toEqual([0, 0, 0xffff, 0x0102_0304]);
    expect(parsePrefix("2001:db8::1/33")?.words).toEqual([0x2001_0db8, 0, 0, 0]);
  });
});
