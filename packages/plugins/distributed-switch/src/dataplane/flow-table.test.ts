import fc from "fast-check";
import { expect, it } from "vitest";
import { access, Bench, frame, nic, trunk } from "../../test/engine-bench.ts";
import { ipFrame, ports } from "../../test/packet.ts";
import { type FlowRecord, FlowTable, type FlowTableOptions } from "./flow-table.ts";

class Accounted extends Bench {
  time: { ms: number };
  readonly records: FlowRecord[] = [];
  readonly table: FlowTable;

  constructor(options: Partial<FlowTableOptions> = {}) {
    const time = { ms: 0 };
    super({ now: () => time.ms });
    this.time = time;
    this.table = new FlowTable({
      idleTimeoutMs: 1000,
      activeTimeoutMs: 5000,
      samplingRate: 1,
      onRecords: (records) => this.records.push(...records),
      ...options,
    });
    this.engine.directory.setFlows(this.table);
  }

  later(ms: number): void {
    this.time.ms += ms;
    this.engine.flush();
    this.engine.tick();
  }
}

const packet = { to: nic(2), from: nic(1), source: "10.0.0.1", destination: "10.0.0.2", protocol: 17 } as const;

it("tells flows apart by addresses, ports and direction, and counts them", () => {
  const bench = new Accounted();
  const a = bench.port(1, access(10));
  bench.port(2, trunk(1, 100));
  const dns = ipFrame({ ...packet, payload: ports(1000, 53) });
  bench.send(a, dns);
  bench.later(500);
  bench.send(a, dns);
  bench.send(a, ipFrame({ ...packet, source: "2001:db8::1", destination: "2001:db8::2", payload: ports(1000, 53) }));
  bench.send(a, frame(nic(2), nic(1)));
  expect(bench.records).toEqual([]);
  bench.later(1000);
  const inward = bench.records.filter(({ direction }) => direction === "in");
  expect(inward).toHaveLength(3);
  expect(inward[0]).toEqual({
    portKey: "p1",
    direction: "in",
    sourceMac: "52:54:00:00:00:01",
    destinationMac: "52:54:00:00:00:02",
    vlan: 10,
    etherType: 0x0800,
    ipVersion: 4,
    sourceAddress: Uint8Array.of(10, 0, 0, 1),
    destinationAddress: Uint8Array.of(10, 0, 0, 2),
    protocol: 17,
    sourcePort: 1000,
    destinationPort: 53,
    packets: 2,
    octets: 2 * dns.length,
    startMs: 0,
    endMs: 500,
    endReason: "idleTimeout",
  });
  expect(inward.map(({ ipVersion }) => ipVersion)).toEqual([4, 6, 0]);
  const outward = bench.records.filter(({ direction }) => direction === "out");
  expect(outward.map(({ portKey, octets }) => [portKey, octets])[0]).toEqual(["p2", 2 * (dns.length + 4)]);
  expect(bench.table.statistics()).toEqual({ flows: 0, observed: 8, exported: 6, evicted: 0 });
});

it("tells of long flows in between, samples, and is bounded", () => {
  const bench = new Accounted({ limit: 4, samplingRate: 2, epochMs: 1e12 });
  const a = bench.port(1, access(10));
  for (let second = 0; second < 6; second += 1) {
    for (const _ of [1, 2]) bench.send(a, frame(nic(1), nic(1)));
    bench.later(900);
  }
  expect(bench.records).toMatchObject([{ packets: 6, endReason: "activeTimeout", startMs: 1e12, endMs: 1e12 + 4500 }]);
  for (let index = 0; index < 200; index += 1) bench.send(a, frame(nic(100 + index), nic(1)));
  const { flows, evicted, observed, exported } = bench.table.statistics();
  expect([flows, evicted, observed, exported]).toEqual([4, 96, 106, 97]);
  bench.table.drain();
  expect(bench.records.reduce((sum, { packets }) => sum + packets, 0)).toBe(106);
});

it("counts every frame once, whatever frames and times there are", () => {
  const step = fc.record({ to: fc.nat(5), source: fc.nat(3), later: fc.nat(1500) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 5 }), (steps, limit) => {
      const bench = new Accounted({ limit });
      const a = bench.port(1, access(10));
      const model = new Map<string, number>();
      for (const { to, source, later } of steps) {
        bench.send(a, ipFrame({ ...packet, to: nic(10 + to), source: `10.0.0.${source}` }));
        const key = `${to} ${source}`;
        model.set(key, (model.get(key) ?? 0) + 1);
        bench.later(later);
        expect(bench.table.statistics().flows).toBeLessThanOrEqual(limit);
      }
      bench.table.drain();
      const counted = new Map<string, number>();
      for (const { destinationMac, sourceAddress, packets } of bench.records) {
        const key = `${Number.parseInt(destinationMac.slice(-2), 16) - 10} ${sourceAddress?.at(3)}`;
        counted.set(key, (counted.get(key) ?? 0) + packets);
      }
      expect(counted).toEqual(model);
    }),
    { seed: 41, numRuns: process.env.VDC_DEEP ? 2000 : 100 },
  );
});
