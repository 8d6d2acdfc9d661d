import { describe, expect, it } from "vitest";
import { access, Bench, expectBalance, frame, NONE, nic, trunk } from "../../test/engine-bench.ts";
import { recordOf } from "./ethernet-frame.ts";
import { BROADCAST_MAC } from "./mac-address.ts";
import type { MirrorCopy, MirrorSession } from "./mirror-session.ts";

const session = (values: Partial<MirrorSession>): MirrorSession => ({
  name: "m",
  sourcePorts: ["p1"],
  direction: "both",
  destination: { kind: "port", portKey: "p9" },
  ...values,
});

describe("mirror sessions", () => {
  it("copy what a port sends and gets, once, whatever order sessions and ports come in", () => {
    for (const portsFirst of [true, false]) {
      const bench = new Bench();
      if (!portsFirst) bench.engine.directory.setMirrors([session({ sourcePorts: ["p1", "p2"] })]);
      const a = bench.port(1, access(10));
      const b = bench.port(2, access(10));
      const c = bench.port(3, access(10));
      bench.port(9, access(99));
      if (portsFirst) bench.engine.directory.setMirrors([session({ sourcePorts: ["p1", "p2"] })]);
      bench.send(a, frame(nic(2), nic(1), { id: 1 }));
      bench.send(c, frame(BROADCAST_MAC, nic(3), { id: 2 }));
      bench.send(b, frame(nic(3), nic(2), { id: 3 }));
      expect(bench.take().p9?.map(({ id }) => id)).toEqual([1, 2, 3]);
      expect(bench.engine.directory.mirrorPoint("m")?.statistics()).toEqual({
        session: "m",
        frames: 3,
        copied: 3,
        sampledOut: 0,
        dropped: 0,
      });
    }
  });

  it("put no tag on copies of frames that are in no VLAN", () => {
    const bench = new Bench();
    const a = bench.port(1, NONE);
    bench.port(9, trunk(1, 4094));
    bench.engine.directory.setMirrors([session({})]);
    bench.send(a, frame(BROADCAST_MAC, nic(1), { id: 1 }));
    expect(bench.take().p9).toEqual([{ id: 1, tag: undefined }]);
  });

  it("count copies that another host made, whatever becomes of them", () => {
    const bench = new Bench();
    const target = bench.port(9, access(10));
    const record = recordOf(frame(BROADCAST_MAC, nic(1), { id: 1 }));
    const copy = (): string | undefined => bench.engine.receiveMirrored(target, record, 4, record.length);
    expect(copy()).toBeUndefined();
    bench.full = true;
    expect(copy()).toBe("noDestination");
    bench.full = false;
    target.linkUp = false;
    copy();
    target.linkUp = true;
    bench.engine.setGate(target, "drop");
    copy();
    target.blocked = true;
    copy();
    const { out } = target.statistics();
    const drops = { queueFull: 1, linkDown: 1, gateDrop: 1, blocked: 1 };
    expect(out).toEqual({ frames: 1, octets: 60, broadcast: 1, multicast: 0, dropped: 4, drops });
    expect(bench.engine.copies).toBe(out.frames + out.dropped);
    expect(bench.take().p9).toEqual([{ id: 1, tag: undefined }]);
  });

  it("copy one direction only where that is asked for", () => {
    for (const direction of ["in", "out"] as const) {
      const bench = new Bench();
      const a = bench.port(1, access(10));
      const b = bench.port(2, access(10));
      bench.port(9, access(10));
      bench.engine.directory.setMirrors([session({ direction })]);
      bench.send(a, frame(nic(2), nic(1), { id: 1 }));
      bench.send(b, frame(nic(1), nic(2), { id: 2 }));
      expect(bench.take().p9).toEqual([{ id: direction === "in" ? 1 : 2, tag: undefined }]);
    }
  });

  it("take their destination out of switching, both ways, until they end", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    const destination = bench.port(9, access(10));
    bench.engine.directory.setMirrors([session({ sourcePorts: [] })]);
    bench.send(a, frame(BROADCAST_MAC, nic(1)));
    bench.send(a, frame(nic(9), nic(1)));
    bench.send(destination, frame(nic(1), nic(9)));
    expect(bench.take()).toEqual({});
    expect(destination.statistics().in.drops).toEqual({ mirrorDestination: 1 });
    bench.engine.directory.setMirrors([]);
    bench.send(a, frame(nic(9), nic(1)));
    expect(Object.keys(bench.take())).toEqual(["p9"]);
  });

  it("tag copies as the destination does, in whichever VLAN it is", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    const b = bench.port(2, trunk(1, 100));
    bench.port(9, { kind: "trunk", ranges: [] });
    bench.engine.directory.setMirrors([session({ sourcePorts: ["p1", "p2"] })]);
    bench.send(a, frame(nic(2), nic(1), { id: 1 }));
    bench.send(b, frame(nic(1), nic(2), { id: 2, tag: 10 }));
    expect(bench.take().p9).toEqual([
      { id: 1, tag: 10 },
      { id: 2, tag: 10 },
    ]);
  });

  it("sample, and cut copies", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    bench.port(2, access(10));
    const destination = bench.port(9, access(10));
    bench.engine.directory.setMirrors([session({ samplingRate: 3, snapLength: 20 })]);
    for (let id = 1; id <= 7; id += 1) bench.send(a, frame(nic(2), nic(1), { id }));
    expect(bench.take().p9?.map(({ id }) => id)).toEqual([3, 6]);
    expect(destination.statistics().out).toMatchObject({ frames: 2, octets: 40 });
    expectBalance(destination);
  });

  it("hand copies for remote destinations to the sink as they were at the port", () => {
    const copies: Partial<MirrorCopy>[] = [];
    const bench = new Bench({
      mirrorSink: {
        mirror: ({ buffer, start, end, ...copy }) => {
          copies.push({ ...copy, end: end - start });
          return copies.length < 2;
        },
      },
    });
    const a = bench.port(1, trunk(1, 100));
    bench.port(2, access(10));
    const destination = { kind: "erspan", address: "192.0.2.1", session: 7 } as const;
    bench.engine.directory.setMirrors([session({ destination, snapLength: 30 })]);
    bench.send(a, frame(nic(2), nic(1), { tag: 10 }));
    bench.send(a, frame(nic(2), nic(1), { tag: 10 }));
    expect(copies[0]).toEqual({
      session: "m",
      destination,
      end: 30,
      originalLength: 64,
      vlan: 10,
      tagged: true,
      direction: "in",
    });
    expect(bench.engine.directory.mirrorPoint("m")?.statistics()).toMatchObject({ copied: 1, dropped: 1 });
  });

  it("keep their counters when they are configured as they are", () => {
    const bench = new Bench();
    const a = bench.port(1, access(10));
    bench.port(9, access(10));
    bench.engine.directory.setMirrors([session({})]);
    bench.send(a, frame(BROADCAST_MAC, nic(1)));
    bench.engine.directory.setMirrors([session({}), session({ name: "n", sourcePorts: [] })]);
    expect(bench.engine.directory.mirrorPoint("m")?.statistics().copied).toBe(1);
    bench.send(a, frame(BROADCAST_MAC, nic(1)));
    expect(bench.engine.directory.mirrorPoint("m")?.statistics().copied).toBe(2);
  });
});
