import { describe, expect, it } from "vitest";
import { Bench, frame, nic, nicText } from "../../test/engine-bench.ts";
import { BROADCAST_MAC } from "./mac-address.ts";
import type { VlanSetting } from "./vlan-membership.ts";

const promiscuous: VlanSetting = { kind: "pvlan", primary: 100, secondary: 100, role: "promiscuous" };
const isolated: VlanSetting = { kind: "pvlan", primary: 100, secondary: 101, role: "isolated" };
const community = (secondary: number): VlanSetting => ({ kind: "pvlan", primary: 100, secondary, role: "community" });

describe("private VLANs", () => {
  it("let each role reach whom RFC 5517 says, by broadcast and by address", () => {
    const bench = new Bench();
    const settings = [promiscuous, promiscuous, isolated, isolated, community(102), community(102), community(103)];
    const ports = settings.map((setting, index) => bench.port(index, setting));
    const reach = settings.map((_, from) => {
      bench.send(ports[from] as never, frame(BROADCAST_MAC, nic(from)));
      const heard = Object.keys(bench.take());
      const answered = settings.flatMap((_, to) => {
        if (to === from) return [];
        bench.send(ports[from] as never, frame(nic(to), nic(from)));
        return Object.keys(bench.take());
      });
      expect(answered).toEqual(heard);
      return heard.map((key) => Number(key.slice(1))).join("");
    });
    expect(reach).toEqual(["123456", "023456", "01", "01", "015", "014", "01"]);
  });

  it("tells a known station that the sender must not reach from an unknown one", () => {
    const bench = new Bench({}, ["h2"]);
    const a = bench.port(1, isolated);
    bench.port(2, isolated);
    bench.send(a, frame(nic(2), nic(1)));
    expect(bench.tunnelled).toEqual([]);
    expect(a.statistics().in.drops).toEqual({ privateVlan: 1 });
  });

  it("carries the secondary VLAN to other hosts and takes it for its primary there", () => {
    const bench = new Bench({}, ["h2"]);
    bench.engine.directory.setPrivateVlans([{ primary: 100, secondary: 101 }]);
    const gateway = bench.port(1, promiscuous);
    const guest = bench.port(2, community(102));
    bench.send(guest, frame(BROADCAST_MAC, nic(2), { id: 1 }));
    expect(bench.tunnelled.splice(0)).toMatchObject([{ vlan: 102, id: 1 }]);
    bench.take();
    expect(bench.fromPeer("h2", 101, frame(nic(1), nic(70), { id: 2 }))).toBeUndefined();
    expect(bench.fromPeer("h2", 101, frame(nic(2), nic(70), { id: 3 }))).toBe("privateVlan");
    expect(bench.take()).toEqual({ p1: [{ id: 2, tag: undefined }] });
    // Learned in the secondary, found from the primary.
    bench.send(gateway, frame(nic(70), nic(1), { id: 4 }));
    expect(bench.tunnelled).toMatchObject([{ peer: "h2", vlan: 100, id: 4 }]);
  });

  it("are carried by a trunk as themselves", () => {
    const bench = new Bench();
    const uplink = bench.port(1, { kind: "trunk", ranges: [{ from: 100, to: 101 }] });
    const guest = bench.port(2, isolated);
    bench.port(3, community(102));
    bench.send(guest, frame(BROADCAST_MAC, nic(2), { id: 1 }));
    expect(bench.take()).toEqual({ p1: [{ id: 1, tag: 101 }] });
    bench.send(uplink, frame(BROADCAST_MAC, nic(1), { id: 2, tag: 100 }));
    expect(bench.take()).toEqual({ p2: [{ id: 2, tag: undefined }], p3: [{ id: 2, tag: undefined }] });
    bench.send(uplink, frame(BROADCAST_MAC, nic(1), { id: 3, tag: 101 }));
    expect(bench.take()).toEqual({});
  });

  it("know stations behind learning ports across primary and secondaries", () => {
    const bench = new Bench();
    const learning = { security: { forgedTransmits: true }, macLearning: { enabled: true } };
    const gateway = bench.port(1, promiscuous);
    const nested = bench.port(2, isolated, learning);
    const other = bench.port(3, isolated, learning);
    bench.send(nested, frame(BROADCAST_MAC, nic(60)));
    bench.take();
    bench.send(gateway, frame(nic(60), nic(1), { id: 1 }));
    expect(Object.keys(bench.take())).toEqual(["p2"]);
    bench.send(other, frame(nic(60), nic(3)));
    expect(bench.take()).toEqual({});
    expect(other.statistics().in.drops).toEqual({ privateVlan: 1 });
    bench.engine.configurePort(nested, { macAddress: nicText(2), vlan: community(102) });
    expect(bench.engine.learnedAddresses).toBe(0);
  });
});

describe("the learning policy", () => {
  const learning = (limit: number, whenFull: "drop" | "flood"): object => ({
    security: { forgedTransmits: true },
    macLearning: { enabled: true, limit, whenFull, floodUnknown: false },
  });
  const vlan: VlanSetting = { kind: "access", id: 10 };

  it("drops strangers over the limit, or lets them pass unlearned", () => {
    for (const whenFull of ["drop", "flood"] as const) {
      const bench = new Bench();
      const a = bench.port(1, vlan, learning(2, whenFull));
      bench.port(2, vlan);
      for (const station of [60, 61, 62, 60]) bench.send(a, frame(nic(2), nic(station), { id: station }));
      const passed = whenFull === "drop" ? [60, 61, 60] : [60, 61, 62, 60];
      expect(bench.take().p2?.map(({ id }) => id)).toEqual(passed);
      expect(a.statistics().learningRefused).toBe(1);
      expect(a.statistics().in.drops).toEqual(whenFull === "drop" ? { learningLimit: 1 } : {});
      expect(bench.engine.learnedAddresses).toBe(2);
    }
  });

  it("makes room for strangers as addresses age, and floods unknown unicast only where that is wanted", () => {
    let now = 0;
    const bench = new Bench({ now: () => now, macAgeingMs: 1000 });
    const a = bench.port(1, vlan, learning(1, "drop"));
    const b = bench.port(2, vlan);
    bench.send(a, frame(nic(2), nic(60)));
    bench.send(b, frame(nic(61), nic(2)));
    expect(Object.keys(bench.take())).toEqual(["p2"]);
    expect(b.statistics().in.drops).toEqual({ noDestination: 1 });
    now = 1000;
    bench.engine.flush();
    bench.send(a, frame(nic(2), nic(61)));
    bench.send(b, frame(nic(61), nic(2)));
    bench.send(b, frame(nic(60), nic(2)));
    expect(Object.keys(bench.take())).toEqual(["p1", "p2"]);
    expect(b.statistics().in.drops).toEqual({ noDestination: 2 });
  });
});
