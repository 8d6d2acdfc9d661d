import { describe, expect, it } from "vitest";
import { access, Bench, frame, nic, nicText, NONE, trunk } from "../../test/engine-bench.ts";
import { LENGTH_PREFIX_BYTES, recordWithTag } from "./ethernet-frame.ts";
import { BROADCAST_MAC } from "./mac-address.ts";
import type { FrameSink } from "./switch-port.ts";
import type { VlanSetting } from "./vlan-membership.ts";

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
      if (setting.kind === "pvlan") return new Set();
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

  it("keeps priority and drop eligibility of a tag that is taken off and put on again", () => {
    const bench = new Bench();
    const native = bench.port(1, trunk(1, 100, 10));
    const controls: number[] = [];
    const sink: FrameSink = {
      deliver: (buffer, start) => {
        controls.push(buffer.readUInt16BE(start + 14));
        return undefined;
      },
      flush: () => undefined,
    };
    bench.engine.addPort("other", { macAddress: nicText(2), vlan: trunk(1, 100) }, sink).linkUp = true;
    for (const flags of [0x0000, 0x1000, 0xa000, 0xf000]) {
      bench.send(native, frame(nic(2), nic(1), { tag: flags + 10 }));
      bench.engine.setGate(native, "hold");
      bench.send(native, frame(nic(2), nic(1), { tag: flags + 10 }));
      bench.engine.setGate(native, "open");
      expect(controls.splice(0)).toEqual([flags + 10, flags + 10]);
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
