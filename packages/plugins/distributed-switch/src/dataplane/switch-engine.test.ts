import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LENGTH_PREFIX_BYTES, readTag, recordOf, recordWithTag, tagVlan, UNTAGGED } from "./ethernet-frame.ts";
import { BROADCAST_MAC } from "./mac-address.ts";
import { type FrameBytes, SwitchEngine, type SwitchEngineOptions, type TunnelSink } from "./switch-engine.ts";
import type { PortSettings, SwitchPort } from "./switch-port.ts";
import type { VlanSetting } from "./vlan-membership.ts";

const access = (id: number): VlanSetting => ({ kind: "access", id });
const trunk = (from: number, to: number, native?: number): VlanSetting => ({
  kind: "trunk",
  ranges: [{ from, to }],
  native,
});
const NONE: VlanSetting = { kind: "none" };
const nic = (index: number): number => 0x5254_0000_0000 + index;
const nicText = (index: number): string => `52:54:00:00:00:${index.toString(16).padStart(2, "0")}`;

/** A frame as a test sees it: where it goes, from whom, its VLAN tag if any, and a number to know it again. */
interface Seen {
  readonly id: number;
  readonly tag: number | undefined;
}

function frame(to: number, from: number, options: { tag?: number; id?: number; length?: number } = {}): Buffer {
  const bare = Buffer.alloc(options.length ?? 60);
  bare.writeUIntBE(to, 0, 6);
  bare.writeUIntBE(from, 6, 6);
  bare.writeUInt16BE(0x88b5, 12); // local experimental EtherType
  bare.writeUInt32BE(options.id ?? 0, 14);
  if (options.tag === undefined) return bare;
  return Buffer.from(recordWithTag(bare, 0, bare.length, options.tag).subarray(LENGTH_PREFIX_BYTES));
}

function see(buffer: Buffer, start: number, end: number): Seen {
  expect(buffer.readUInt32BE(start - LENGTH_PREFIX_BYTES)).toBe(end - start);
  const tag = readTag(buffer, start, end);
  return tag === UNTAGGED
    ? { id: buffer.readUInt32BE(start + 14), tag: undefined }
    : { id: buffer.readUInt32BE(start + 18), tag: tagVlan(tag) };
}

class Bench {
  readonly engine: SwitchEngine;
  readonly received = new Map<string, Seen[]>();
  readonly tunnelled: { peer: string; vlan: number; id: number; tag: number | undefined }[] = [];
  full = false;

  constructor(options: Partial<SwitchEngineOptions> = {}, peers: readonly string[] = []) {
    const record = (peer: string, vlan: number, { buffer, start, end }: FrameBytes): void => {
      this.tunnelled.push({ peer, vlan, ...see(buffer, start, end) });
    };
    const tunnel: TunnelSink = {
      send: (peer, vlan, bytes) => {
        record(peer, vlan, bytes);
        return 1;
      },
      flood: (vlan, bytes) => {
        for (const peer of peers) record(peer, vlan, bytes);
        return peers.length;
      },
    };
    this.engine = new SwitchEngine({ now: () => 0, tunnel, ...options });
  }

  port(index: number, vlan: VlanSetting, settings: Partial<PortSettings> = {}): SwitchPort {
    const key = `p${index}`;
    const seen: Seen[] = [];
    this.received.set(key, seen);
    const port = this.engine.addPort(
      key,
      { macAddress: nicText(index), vlan, ...settings },
      {
        deliver: (buffer, start, end) => {
          if (this.full) return "queueFull";
          seen.push(see(buffer, start, end));
          return undefined;
        },
        flush: () => undefined,
      },
    );
    port.linkUp = true;
    return port;
  }

  send(port: SwitchPort, bytes: Buffer): void {
    const record = recordOf(bytes);
    this.engine.receiveFromPort(port, record, LENGTH_PREFIX_BYTES, record.length);
    expectBalance(port);
  }

  fromPeer(peer: string, vlan: number, bytes: Buffer): string | undefined {
    const record = recordOf(bytes);
    return this.engine.receiveFromPeer(peer, vlan, record, LENGTH_PREFIX_BYTES, record.length);
  }

  /** Which ports got which frames since the last call. */
  take(): Record<string, Seen[]> {
    const taken: Record<string, Seen[]> = {};
    for (const [key, seen] of this.received) if (seen.length > 0) taken[key] = seen.splice(0);
    return taken;
  }
}

function expectBalance(port: SwitchPort): void {
  const { in: inward, forwarded, held, out } = port.statistics();
  expect(inward.frames).toBe(forwarded + held + inward.dropped);
  for (const { dropped, drops } of [inward, out]) {
    expect(Object.values<number>(drops).reduce((sum, count) => sum + count, 0)).toBe(dropped);
  }
}

describe("VLANs", () => {
  it("isolates: who hears whose broadcast, for every pair of settings", () => {
    const settings: VlanSetting[] = [
      NONE,
      NONE,
      access(10),
      access(10),
      access(20),
      trunk(10, 10),
      trunk(10, 20, 20),
      { kind: "trunk", ranges: [] },
      { kind: "trunk", ranges: [], native: 10 },
    ];
    const vlansOf = (setting: VlanSetting): Set<number> => {
      if (setting.kind === "none") return new Set([0]);
      if (setting.kind === "access") return new Set([setting.id]);
      return new Set(
        setting.ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, at) => from + at)),
      );
    };
    const bench = new Bench();
    const ports = settings.map((setting, index) => bench.port(index, setting));
    for (const [from, port] of ports.entries()) {
      for (const vlan of [undefined, 10, 15, 20, 30]) {
        bench.send(port, frame(BROADCAST_MAC, nic(from), vlan === undefined ? {} : { tag: vlan }));
        const heard = Object.keys(bench.take());
        const setting = settings[from] ?? NONE;
        const own = vlansOf(setting);
        let sentIn: number | undefined;
        if (setting.kind === "trunk") sentIn = vlan ?? setting.native;
        else if (vlan === undefined) sentIn = [...own][0];
        const inside = sentIn !== undefined && own.has(sentIn) ? sentIn : undefined;
        const expected = settings.flatMap((each, to) =>
          inside !== undefined && to !== from && vlansOf(each).has(inside) ? [`p${to}`] : [],
        );
        expect(heard, `port ${from}, tag ${vlan}`).toEqual(expected);
      }
    }
  });

  it("drops a tagged frame at an access port, even of its own VLAN, but takes a priority tag as none", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    bench.port(2, access(10));
    bench.send(a, frame(nic(2), nic(1), { tag: 10 }));
    expect(bench.take()).toEqual({});
    expect(a.statistics().in.drops).toEqual({ taggedOnAccess: 1 });
    bench.send(a, frame(nic(2), nic(1), { tag: 0, id: 5 }));
    expect(bench.take()).toEqual({ p2: [{ id: 5, tag: undefined }] });
  });

  it("puts on and takes off tags between access, trunk and native", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    const b = bench.port(2, trunk(1, 4094, 20));
    bench.port(3, access(20));
    bench.send(a, frame(nic(2), nic(1), { id: 1 }));
    bench.send(b, frame(nic(1), nic(2), { id: 2, tag: 10 }));
    bench.send(b, frame(nic(3), nic(2), { id: 3 }));
    bench.send(b, frame(nic(3), nic(2), { id: 4, tag: 20 }));
    expect(bench.take()).toEqual({
      p1: [{ id: 2, tag: undefined }],
      p2: [{ id: 1, tag: 10 }],
      p3: [
        { id: 3, tag: undefined },
        { id: 4, tag: undefined },
      ],
    });
  });

  it("drops double tags at a trunk", () => {
    const bench = new Bench();
    const a = bench.port(1, trunk(1, 4094));
    bench.port(2, access(20));
    const inner = frame(nic(2), nic(1), { tag: 20 });
    const outer = Buffer.from(recordWithTag(inner, 0, inner.length, 10).subarray(LENGTH_PREFIX_BYTES));
    bench.send(a, outer);
    expect(bench.take()).toEqual({});
    expect(a.statistics().in.drops).toEqual({ unsupportedTag: 1 });
  });
});

describe("security", () => {
  it("rejects forged transmits by default and accepts them when told", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    const b = bench.port(2, access(10), { security: { forgedTransmits: true } });
    bench.port(3, access(10));
    bench.send(a, frame(nic(3), nic(99)));
    expect(a.statistics().in.drops).toEqual({ forgedTransmit: 1 });
    bench.send(b, frame(nic(3), nic(99), { id: 1 }));
    expect(bench.take()).toEqual({ p3: [{ id: 1, tag: undefined }] });
  });

  it("shows other ports' unicast to promiscuous ports alone", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    bench.port(2, access(10));
    bench.port(3, access(10));
    bench.port(4, access(10), { security: { promiscuous: true } });
    bench.port(5, access(20), { security: { promiscuous: true } });
    bench.send(a, frame(nic(2), nic(1), { id: 1 }));
    expect(bench.take()).toEqual({ p2: [{ id: 1, tag: undefined }], p4: [{ id: 1, tag: undefined }] });
    bench.send(a, frame(nic(77), nic(1), { id: 2 }));
    expect(bench.take()).toEqual({ p4: [{ id: 2, tag: undefined }] });
  });

  it("lets the guest's new address attract frames only where MAC changes are accepted", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10), { security: { macChanges: true } });
    const b = bench.port(2, access(10));
    bench.send(a, frame(BROADCAST_MAC, nic(50)));
    bench.take();
    bench.send(b, frame(nic(50), nic(2), { id: 1 }));
    bench.send(b, frame(nic(1), nic(2), { id: 2 }));
    expect(bench.take().p1?.map(({ id }) => id)).toEqual([1, 2]);
    bench.engine.configurePort(a, { macAddress: nicText(1), vlan: access(10) });
    bench.send(b, frame(nic(50), nic(2)));
    expect(bench.take()).toEqual({});
  });

  it("learns the stations behind a port that may have them, up to its limit, and floods unknown unicast to it", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10), {
      security: { forgedTransmits: true },
      macLearning: { enabled: true, limit: 1 },
    });
    const b = bench.port(2, access(10));
    bench.send(b, frame(nic(60), nic(2), { id: 1 }));
    expect(bench.take()).toEqual({ p1: [{ id: 1, tag: undefined }] });
    bench.send(a, frame(nic(2), nic(60)));
    bench.send(a, frame(nic(2), nic(61)));
    expect(bench.engine.learnedAddresses).toBe(1);
    expect(a.statistics().learningRefused).toBe(1);
    bench.take();
    bench.send(a, frame(nic(60), nic(1)));
    expect(bench.take()).toEqual({});
    expect(a.statistics().in.drops).toEqual({ toItself: 1 });
  });

  it("drops what no bridge forwards, each for its reason", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    bench.port(2, access(10));
    bench.send(a, Buffer.alloc(13));
    bench.send(a, frame(nic(2), nic(1), { length: 1515 }));
    bench.send(a, frame(nic(2), BROADCAST_MAC));
    bench.send(a, frame(0x0180_c200_0000, nic(1)));
    bench.send(a, frame(nic(1), nic(1)));
    bench.send(a, frame(nic(9), nic(1)));
    expect(bench.take()).toEqual({});
    expect(a.statistics().in.drops).toEqual({
      runt: 1,
      tooLong: 1,
      invalidSource: 1,
      linkLocal: 1,
      toItself: 1,
      noDestination: 1,
    });
    bench.send(a, frame(nic(2), nic(1), { length: 1514 }));
    expect(a.statistics().forwarded).toBe(1);
  });
});

describe("blocked, gate and queues", () => {
  it("passes nothing through a blocked port, both ways, until it is unblocked", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    const b = bench.port(2, access(10), { blocked: true });
    bench.send(a, frame(nic(2), nic(1)));
    bench.send(a, frame(BROADCAST_MAC, nic(1)));
    bench.send(b, frame(nic(1), nic(2)));
    expect(bench.take()).toEqual({});
    expect(b.statistics().in.drops).toEqual({ blocked: 1 });
    expect(b.statistics().out.drops).toEqual({ blocked: 2 });
    bench.engine.configurePort(b, { macAddress: nicText(2), vlan: access(10) });
    bench.send(a, frame(nic(2), nic(1), { id: 3 }));
    expect(bench.take()).toEqual({ p2: [{ id: 3, tag: undefined }] });
  });

  it("holds what the VM sends, bounded, and releases it in order by number", () => {
    const bench = new Bench({ hold: { limitFrames: 3 } });
    const a = bench.port(1, access(10));
    const b = bench.port(2, access(10));
    bench.engine.setGate(a, "hold");
    for (const id of [1, 2, 3, 4]) bench.send(a, frame(nic(2), nic(1), { id }));
    expect(bench.take()).toEqual({});
    expect(a.statistics()).toMatchObject({ held: 3, in: { drops: { holdFull: 1 } } });
    bench.send(b, frame(nic(1), nic(2), { id: 9 }));
    expect(bench.take().p1).toHaveLength(1);
    expect(bench.engine.release(a, 2)).toBe(2);
    expect(bench.take().p2?.map(({ id }) => id)).toEqual([1, 2]);
    bench.send(a, frame(nic(2), nic(1), { id: 5 }));
    expect(bench.engine.discard(a, 1)).toBe(1);
    bench.engine.setGate(a, "open");
    expect(bench.take().p2?.map(({ id }) => id)).toEqual([5]);
    expectBalance(a);
    bench.engine.setGate(a, "hold");
    bench.send(a, frame(nic(2), nic(1)));
    bench.engine.setGate(a, "drop");
    bench.send(a, frame(nic(2), nic(1)));
    bench.send(b, frame(nic(1), nic(2)));
    expect(bench.take()).toEqual({});
    expect(a.statistics().in.drops).toEqual({ holdFull: 1, holdDiscarded: 2, gateDrop: 1 });
    expect(a.statistics().out.drops).toEqual({ gateDrop: 1 });
    expectBalance(a);
  });

  it("never releases a held frame into a VLAN that its port has left", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    bench.port(2, access(10));
    bench.port(3, access(20));
    bench.engine.setGate(a, "hold");
    bench.send(a, frame(BROADCAST_MAC, nic(1)));
    bench.engine.configurePort(a, { macAddress: nicText(1), vlan: access(20) });
    bench.engine.setGate(a, "open");
    expect(bench.take()).toEqual({});
    expect(a.statistics().in.drops).toEqual({ vlanNotAllowed: 1 });
    expectBalance(a);
  });

  it("counts tail drops and frames for links that are down at the port that didn't get them", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    const b = bench.port(2, access(10));
    bench.full = true;
    bench.send(a, frame(nic(2), nic(1)));
    bench.full = false;
    b.linkUp = false;
    bench.send(a, frame(nic(2), nic(1)));
    expect(b.statistics().out).toMatchObject({ frames: 0, dropped: 2, drops: { queueFull: 1, linkDown: 1 } });
    expect(a.statistics().forwarded).toBe(2);
  });
});

describe("tunnels", () => {
  it("floods to every peer what it doesn't know, and unicasts what it learned", () => {
    const bench = new Bench({}, ["h2", "h3"]);
    const a = bench.port(1, trunk(1, 100));
    bench.send(a, frame(nic(70), nic(1), { id: 1, tag: 10 }));
    expect(bench.tunnelled.splice(0)).toEqual([
      { peer: "h2", vlan: 10, id: 1, tag: undefined },
      { peer: "h3", vlan: 10, id: 1, tag: undefined },
    ]);
    expect(bench.fromPeer("h3", 10, frame(nic(1), nic(70), { id: 2 }))).toBeUndefined();
    expect(bench.take()).toEqual({ p1: [{ id: 2, tag: 10 }] });
    bench.send(a, frame(nic(70), nic(1), { id: 3, tag: 10 }));
    bench.send(a, frame(nic(70), nic(1), { id: 4, tag: 11 }));
    expect(bench.tunnelled.map(({ peer, id }) => `${peer} ${id}`)).toEqual(["h3 3", "h2 4", "h3 4"]);
    bench.engine.removePeer("h3");
    expect(bench.engine.learnedAddresses).toBe(0);
  });

  it("never forwards from one tunnel to another, and refuses tags inside", () => {
    const bench = new Bench({}, ["h2", "h3"]);
    bench.port(1, access(10));
    bench.fromPeer("h2", 10, frame(BROADCAST_MAC, nic(70)));
    expect(bench.fromPeer("h3", 10, frame(nic(70), nic(71)))).toBe("splitHorizon");
    expect(bench.fromPeer("h3", 10, frame(nic(72), nic(71)))).toBe("noDestination");
    expect(bench.fromPeer("h3", 10, frame(nic(1), nic(71), { tag: 10 }))).toBe("unsupportedTag");
    expect(bench.fromPeer("h3", 11, frame(nic(1), nic(71)))).toBe("noDestination");
    expect(bench.tunnelled).toEqual([]);
  });

  it("sends a moved VM's frames to its new host, and back after the gate opens here", () => {
    const bench = new Bench({}, ["h2"]);
    const a = bench.port(1, access(10));
    const moving = bench.port(2, access(10));
    bench.engine.setGate(moving, "drop");
    bench.fromPeer("h2", 10, frame(BROADCAST_MAC, nic(2)));
    bench.take();
    bench.send(a, frame(nic(2), nic(1), { id: 1 }));
    expect(bench.tunnelled.splice(0).map(({ id }) => id)).toEqual([1]);
    bench.engine.setGate(moving, "open");
    bench.engine.announce(moving);
    expect(bench.tunnelled.splice(0)).toHaveLength(1);
    expect(Object.keys(bench.take())).toEqual(["p1"]);
    bench.send(a, frame(nic(2), nic(1), { id: 2 }));
    expect(bench.take().p2?.map(({ id }) => id)).toEqual([2]);
    expect(bench.tunnelled).toEqual([]);
  });
});

/** What VLAN switching should do, said as simply as possible and without any state but the ports. */
function model(
  settings: readonly VlanSetting[],
  from: number,
  to: number | "all",
  tag: number | undefined,
): Map<number, number | undefined> {
  const member = (setting: VlanSetting, vlan: number): boolean => {
    if (setting.kind === "none") return vlan === 0;
    if (setting.kind === "access") return vlan === setting.id;
    return setting.ranges.some((range) => range.from <= vlan && vlan <= range.to);
  };
  const source = settings[from] ?? NONE;
  let vlan: number | undefined;
  if (source.kind === "trunk") vlan = tag ?? source.native;
  else if (tag === undefined) vlan = source.kind === "access" ? source.id : 0;
  const result = new Map<number, number | undefined>();
  if (vlan === undefined || !member(source, vlan)) return result;
  for (const [index, setting] of settings.entries()) {
    if (index === from || (to !== "all" && to !== index) || !member(setting, vlan)) continue;
    result.set(index, setting.kind === "trunk" && setting.native !== vlan ? vlan : undefined);
  }
  return result;
}

it("agrees with the reference model on random ports and traffic", () => {
  const id = fc.integer({ min: 1, max: 6 });
  const setting: fc.Arbitrary<VlanSetting> = fc.oneof(
    fc.constant(NONE),
    id.map(access),
    fc.record({
      kind: fc.constant("trunk" as const),
      ranges: fc.array(
        fc.tuple(id, id).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
        { maxLength: 2 },
      ),
      native: fc.option(id, { nil: undefined }),
    }),
  );
  const traffic = fc.array(
    fc.record({
      from: fc.nat(7),
      to: fc.oneof(fc.constant("all" as const), fc.nat(7)),
      tag: fc.option(id, { nil: undefined }),
      change: fc.option(setting, { freq: 6, nil: undefined }),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(fc.array(setting, { minLength: 2, maxLength: 8 }), traffic, (initial, frames) => {
      const settings = [...initial];
      const bench = new Bench();
      const ports = settings.map((each, index) => bench.port(index, each));
      for (const [number, { from, to, tag, change }] of frames.entries()) {
        const port = ports[from];
        if (port === undefined) continue;
        if (change !== undefined) {
          settings[from] = change;
          bench.engine.configurePort(port, { macAddress: nicText(from), vlan: change });
        }
        bench.send(
          port,
          frame(to === "all" ? BROADCAST_MAC : nic(to), nic(from), {
            ...(tag === undefined ? {} : { tag }),
            id: number,
          }),
        );
        const expected = model(settings, from, to, tag);
        expect(bench.take()).toEqual(
          Object.fromEntries(
            [...expected].map(([index, egressTag]) => [`p${index}`, [{ id: number, tag: egressTag }]]),
          ),
        );
      }
      const sent = ports.reduce((sum, port) => sum + port.statistics().in.frames, 0);
      expect(sent).toBe(frames.filter(({ from }) => from < ports.length).length);
    }),
    { seed: 17, numRuns: process.env.VDC_DEEP ? 5000 : 300 },
  );
});

it("takes any bytes from a port or a peer without throwing, and counts each frame once", () => {
  const bench = new Bench({}, ["h2"]);
  const ports = [
    bench.port(1, access(10)),
    bench.port(2, trunk(1, 4094, 10), {
      security: { forgedTransmits: true, promiscuous: true },
      macLearning: { enabled: true, limit: 10 },
    }),
    bench.port(3, NONE, { security: { macChanges: true } }),
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(2), fc.nat(4095), (bytes, index, vlan) => {
      const port = ports[index];
      if (port === undefined) return;
      // Frames that happen to be addressable must be long enough for the bench's numbering.
      const raw = Buffer.from(bytes);
      const padded = raw.length < 14 ? raw : Buffer.concat([raw, Buffer.alloc(24)]);
      bench.send(port, padded);
      bench.fromPeer("h2", vlan, padded);
    }),
    { seed: 19, numRuns: process.env.VDC_DEEP ? 20_000 : 1000 },
  );
});
