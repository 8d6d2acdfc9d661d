import { describe, expect, it } from "vitest";
import { access, Bench, expectBalance, frame, nic, nicText, trunk } from "../../test/engine-bench.ts";
import { BROADCAST_MAC } from "./mac-address.ts";

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
