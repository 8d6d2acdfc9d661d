import { describe, expect, it } from "vitest";
import { access, Bench, expectBalance, frame, nic, NONE, type Seen } from "../../test/engine-bench.ts";
import { LENGTH_PREFIX_BYTES, readTag, recordOf, tagVlan, UNTAGGED } from "./ethernet-frame.ts";
import { BROADCAST_MAC } from "./mac-address.ts";
import type { SwitchPort } from "./switch-port.ts";
import type { TeamingSetting } from "./uplink-team.ts";

const teaming = (values: Partial<TeamingSetting> = {}): TeamingSetting => ({
  policy: "failoverOrder",
  active: ["u1", "u2"],
  standby: ["u3"],
  failback: true,
  notifySwitches: false,
  ...values,
});

/** A switch with three uplinks, all up. */
class Uplinked extends Bench {
  readonly uplinks: Readonly<Record<string, SwitchPort>>;
  readonly sent: (Seen & { readonly uplink: string; readonly announces: boolean })[] = [];

  constructor() {
    super();
    this.engine.usesUplinks = true;
    this.uplinks = Object.fromEntries(
      ["u1", "u2", "u3"].map((name) => {
        const uplink = this.engine.addUplink(name, `up/${name}`, {
          deliver: (buffer, start, end) => {
            const tag = readTag(buffer, start, end);
            const type = buffer.readUInt16BE(start + (tag === UNTAGGED ? 12 : 16));
            this.sent.push({
              uplink: name,
              tag: tag === UNTAGGED ? undefined : tagVlan(tag),
              id: buffer.readUInt32BE(start + (tag === UNTAGGED ? 14 : 18)),
              announces: type === 0x8035,
            });
            return undefined;
          },
          flush: () => undefined,
        });
        uplink.linkUp = true;
        return [name, uplink];
      }),
    );
    this.engine.uplinksChanged();
  }

  link(name: string, up: boolean): void {
    (this.uplinks[name] as SwitchPort).linkUp = up;
    this.engine.uplinksChanged();
  }

  /** Sends a frame to nobody known, and tells by which uplink it left. */
  way(port: SwitchPort, from: number): string | undefined {
    this.sent.length = 0;
    this.send(port, frame(BROADCAST_MAC, from));
    expect(this.sent.length).toBeLessThan(2);
    return this.sent[0]?.uplink;
  }

  from(name: string, bytes: Buffer): Readonly<Record<string, Seen[]>> {
    const record = recordOf(bytes);
    const uplink = this.uplinks[name] as SwitchPort;
    this.engine.receiveFromUplink(uplink, record, LENGTH_PREFIX_BYTES, record.length);
    expectBalance(uplink);
    return this.take();
  }
}

describe("uplinks", () => {
  it("carry VLANs as tags, and the untagged segment without", () => {
    const bench = new Uplinked();
    const a = bench.port(1, access(10));
    const b = bench.port(2, NONE);
    bench.send(a, frame(BROADCAST_MAC, nic(1), { id: 1 }));
    bench.send(b, frame(BROADCAST_MAC, nic(2), { id: 2 }));
    expect(bench.sent).toMatchObject([
      { uplink: "u1", tag: 10, id: 1 },
      { uplink: "u1", tag: undefined, id: 2 },
    ]);
    expect(bench.from("u1", frame(nic(1), nic(70), { id: 3, tag: 10 }))).toEqual({ p1: [{ id: 3, tag: undefined }] });
    expect(bench.from("u1", frame(nic(2), nic(70), { id: 4 }))).toEqual({ p2: [{ id: 4, tag: undefined }] });
    expect(bench.from("u1", frame(nic(1), nic(70), { id: 5 }))).toEqual({});
    bench.sent.length = 0;
    // Known beyond the uplinks.
    bench.send(a, frame(nic(70), nic(1), { id: 6 }));
    expect(bench.sent).toMatchObject([{ tag: 10, id: 6 }]);
  });

  it("never forward between each other, and take in only what is for ports that use them", () => {
    const bench = new Uplinked();
    const a = bench.port(1, access(10), { teaming: teaming({ active: ["u1"] }) });
    bench.port(2, access(10), { teaming: teaming({ active: ["u2"] }) });
    expect(bench.way(a, nic(1))).toBe("u1");
    bench.take();
    const copies = ["u1", "u2", "u3"].map((name) =>
      Object.keys(bench.from(name, frame(BROADCAST_MAC, nic(70), { tag: 10 }))),
    );
    expect(copies).toEqual([["p1"], ["p2"], []]);
    expect(bench.uplinks.u3?.statistics().in.drops).toEqual({ reverseFilter: 1 });
    expect(bench.sent).toHaveLength(1);
  });

  it("drop a port's own frame that comes back", () => {
    const bench = new Uplinked();
    const a = bench.port(1, access(10), {
      security: { forgedTransmits: true },
      macLearning: { enabled: true },
      teaming: teaming(),
    });
    bench.port(2, access(10));
    bench.send(a, frame(BROADCAST_MAC, nic(60)));
    bench.take();
    expect(bench.from("u2", frame(BROADCAST_MAC, nic(1), { tag: 10 }))).toEqual({});
    expect(bench.from("u2", frame(BROADCAST_MAC, nic(60), { tag: 10 }))).toEqual({});
    expect(bench.uplinks.u2?.statistics().in.drops).toEqual({ looped: 2 });
    // The network never sends back where a frame came in: a nested station that speaks there has moved.
    expect(Object.keys(bench.from("u1", frame(BROADCAST_MAC, nic(60), { tag: 10 })))).toEqual(["p1", "p2"]);
  });

  it("fail over in order, to standby at last, and back", () => {
    const bench = new Uplinked();
    const port = bench.port(1, access(10), { teaming: teaming({ active: ["u2", "u1"] }) });
    const ways = ["u2", "u1", "u3"].map((name) => {
      const way = bench.way(port, nic(1));
      bench.link(name, false);
      return way;
    });
    expect(ways).toEqual(["u2", "u1", "u3"]);
    expect(bench.way(port, nic(1))).toBeUndefined();
    expect(port.statistics().in.drops).toEqual({ noUplink: 1 });
    bench.link("u3", true);
    expect(bench.way(port, nic(1))).toBe("u3");
    bench.link("u2", true);
    expect(bench.way(port, nic(1))).toBe("u2");
  });

  it("stay where they are without failback, until that fails", () => {
    const bench = new Uplinked();
    const port = bench.port(1, access(10), { teaming: teaming({ failback: false }) });
    bench.link("u1", false);
    expect(bench.way(port, nic(1))).toBe("u2");
    bench.link("u1", true);
    expect(bench.way(port, nic(1))).toBe("u2");
    bench.link("u2", false);
    expect(bench.way(port, nic(1))).toBe("u1");
  });

  it("spread ports by their keys, and only over active uplinks", () => {
    const bench = new Uplinked();
    const ports = Array.from({ length: 40 }, (_, index) =>
      bench.port(index + 1, access(10), { teaming: teaming({ policy: "originatingPort" }) }),
    );
    const ways = ports.map((port, index) => bench.way(port, nic(index + 1)));
    const first = ways.filter((way) => way === "u1").length;
    expect(ways.every((way) => way === "u1" || way === "u2")).toBe(true);
    expect(first).toBeGreaterThan(8);
    expect(first).toBeLessThan(32);
    expect(ports.map((port, index) => bench.way(port, nic(index + 1)))).toEqual(ways);
    bench.link("u1", false);
    expect(ports.every((port, index) => bench.way(port, nic(index + 1)) === "u2")).toBe(true);
    bench.link("u2", false);
    expect(bench.way(ports[0] as SwitchPort, nic(1))).toBe("u3");
  });

  it("spread source addresses, each way taking in the answers, and group frames once", () => {
    const bench = new Uplinked();
    const port = bench.port(1, access(10), {
      security: { forgedTransmits: true },
      macLearning: { enabled: true },
      teaming: teaming({ policy: "sourceMac" }),
    });
    const ways = Array.from({ length: 40 }, (_, index) => bench.way(port, nic(100 + index)));
    expect(new Set(ways)).toEqual(new Set(["u1", "u2"]));
    for (const [index, way] of ways.entries()) {
      for (const name of ["u1", "u2", "u3"]) {
        const taken = bench.from(name, frame(nic(100 + index), nic(70), { tag: 10 }));
        expect(Object.keys(taken)).toEqual(name === way ? ["p1"] : []);
      }
    }
    const copies = ["u1", "u2", "u3"].flatMap((name) =>
      Object.keys(bench.from(name, frame(BROADCAST_MAC, nic(70), { tag: 10 }))),
    );
    expect(copies).toEqual(["p1"]);
  });

  it("tell the network by an announcement on the new way, where that is wanted", () => {
    for (const notifySwitches of [true, false]) {
      const bench = new Uplinked();
      bench.port(1, access(10), { teaming: teaming({ notifySwitches }) });
      bench.port(2, access(10), { teaming: teaming({ notifySwitches, active: ["u2"] }) });
      bench.link("u1", false);
      expect(bench.sent).toMatchObject(notifySwitches ? [{ uplink: "u2", tag: 10, announces: true }] : []);
      expect(bench.take()).toEqual({});
    }
  });

  it("are told of in explanations", () => {
    const bench = new Uplinked();
    const port = bench.port(1, access(10));
    const bytes = frame(BROADCAST_MAC, nic(1));
    expect(bench.engine.explainer.fromPort(port, bytes)).toMatchObject({
      verdict: "flood",
      uplink: "up/u1",
      peers: [],
    });
    for (const name of ["u1", "u2", "u3"]) bench.link(name, false);
    expect(bench.engine.explainer.fromPort(port, bytes)).toMatchObject({ verdict: "drop", reason: "noUplink" });
    expect(bench.sent.filter(({ announces }) => !announces)).toEqual([]);
  });
});
