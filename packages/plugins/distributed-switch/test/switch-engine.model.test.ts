import fc from "fast-check";
import { expect, it } from "vitest";
import { BROADCAST_MAC } from "../src/dataplane/mac-address.ts";
import type { FrameBytes, TunnelSink } from "../src/dataplane/tunnel-sink.ts";
import type { VlanRange, VlanSetting } from "../src/dataplane/vlan-membership.ts";
import { access, Bench, frame, nic, nicText, NONE, trunk } from "./engine-bench.ts";

/** VLAN 7 is private, with 8 for isolated and 9 for a community; 10 with one community, 11. */
const PRIVATE_VLANS = [
  { primary: 7, secondary: 8 },
  { primary: 7, secondary: 9 },
  { primary: 10, secondary: 11 },
];

/** What VLAN switching should do, said as simply as possible and without any state but the ports. */
function model(
  settings: readonly VlanSetting[],
  from: number,
  to: number | "all",
  tag: number | undefined,
): Map<number, number | undefined> {
  const listed = (ranges: readonly VlanRange[], vlan: number): boolean =>
    ranges.some((range) => range.from <= vlan && vlan <= range.to);
  const gets = (setting: VlanSetting, vlan: number): boolean => {
    if (setting.kind === "none") return vlan === 0;
    if (setting.kind === "access") return vlan === setting.id;
    if (setting.kind === "trunk") return listed(setting.ranges, vlan);
    if (vlan === setting.primary) return true;
    if (setting.role === "community") return vlan === setting.secondary;
    const pair = PRIVATE_VLANS.find(({ secondary }) => secondary === vlan);
    return setting.role === "promiscuous" && pair?.primary === setting.primary;
  };
  const source = settings[from] ?? NONE;
  let vlan: number | undefined;
  if (source.kind === "trunk") {
    vlan = tag ?? source.native;
    if (vlan !== undefined && !listed(source.ranges, vlan)) vlan = undefined;
  } else if (tag === undefined) {
    if (source.kind === "access") vlan = source.id;
    else if (source.kind === "pvlan") vlan = source.role === "promiscuous" ? source.primary : source.secondary;
    else vlan = 0;
  }
  const result = new Map<number, number | undefined>();
  if (vlan === undefined) return result;
  for (const [index, setting] of settings.entries()) {
    if (index === from || (to !== "all" && to !== index) || !gets(setting, vlan)) continue;
    result.set(index, setting.kind === "trunk" && setting.native !== vlan ? vlan : undefined);
  }
  return result;
}

/** Two switches that are one: each is the other's only peer. */
function joined(): readonly [Bench, Bench] {
  const benches: Bench[] = [];
  const tunnelTo = (other: number): TunnelSink => {
    const send = (vlan: number, { buffer, start, end }: FrameBytes): number => {
      benches[other]?.fromPeer("other", vlan, Buffer.from(buffer.subarray(start, end)));
      return 1;
    };
    return { send: (_, vlan, bytes) => send(vlan, bytes), flood: send, peers: () => ["other"] };
  };
  const pair = [new Bench({ tunnel: tunnelTo(1) }), new Bench({ tunnel: tunnelTo(0) })] as const;
  benches.push(...pair);
  for (const { engine } of pair) engine.directory.setPrivateVlans(PRIVATE_VLANS);
  return pair;
}

it("agrees with the reference model on random ports and traffic, on one host and across two", () => {
  const id = fc.integer({ min: 1, max: 11 });
  const setting: fc.Arbitrary<VlanSetting> = fc.oneof(
    fc.constant(NONE),
    id.map(access),
    fc.constantFrom<VlanSetting>(
      { kind: "pvlan", primary: 7, secondary: 7, role: "promiscuous" },
      { kind: "pvlan", primary: 7, secondary: 8, role: "isolated" },
      { kind: "pvlan", primary: 7, secondary: 9, role: "community" },
      { kind: "pvlan", primary: 10, secondary: 10, role: "promiscuous" },
      { kind: "pvlan", primary: 10, secondary: 11, role: "community" },
    ),
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
  const places = fc.array(fc.nat(1), { minLength: 8, maxLength: 8 });
  fc.assert(
    fc.property(fc.array(setting, { minLength: 2, maxLength: 8 }), traffic, places, (initial, frames, hosts) => {
      const settings = [...initial];
      const pair = joined();
      const hostOf = (index: number): Bench => pair[hosts[index] === 1 ? 1 : 0];
      const ports = settings.map((each, index) => hostOf(index).port(index, each));
      for (const [number, { from, to, tag, change }] of frames.entries()) {
        const port = ports[from];
        if (port === undefined) continue;
        if (change !== undefined) {
          settings[from] = change;
          hostOf(from).engine.configurePort(port, { macAddress: nicText(from), vlan: change });
        }
        hostOf(from).send(
          port,
          frame(to === "all" ? BROADCAST_MAC : nic(to), nic(from), {
            ...(tag === undefined ? {} : { tag }),
            id: number,
          }),
        );
        const expected = model(settings, from, to, tag);
        expect({ ...pair[0].take(), ...pair[1].take() }).toEqual(
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
  const address = fc.oneof(
    fc.constantFrom(nic(1), nic(2), nic(3), BROADCAST_MAC, 0),
    fc.integer({ min: 0, max: BROADCAST_MAC }),
  );
  const type = fc.constantFrom(0x8100, 0x88a8, 0x0800, 0x0000);
  const rest = fc.uint8Array({ maxLength: 60 });
  const bytes = fc.oneof(
    rest.map((raw) => Buffer.from(raw)),
    fc.tuple(address, address, type, rest).map(([to, from, etherType, payload]) => {
      const header = Buffer.alloc(14);
      header.writeUIntBE(to, 0, 6);
      header.writeUIntBE(from, 6, 6);
      header.writeUInt16BE(etherType, 12);
      // Padded as far as the bench looks for its number.
      return Buffer.concat([header, payload, Buffer.alloc(12)]);
    }),
  );
  fc.assert(
    fc.property(bytes, fc.nat(2), fc.nat(4095), (raw, index, vlan) => {
      const port = ports[index];
      if (port === undefined) return;
      const padded = raw.length < 14 ? raw : Buffer.concat([raw, Buffer.alloc(12)]);
      bench.send(port, padded);
      bench.fromPeer("h2", vlan, padded);
    }),
    { seed: 19, numRuns: process.env.VDC_DEEP ? 20_000 : 1000 },
  );
  for (const port of ports) expect(port.statistics().forwarded).toBeGreaterThan(0);
});
