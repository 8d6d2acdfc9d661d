import { describe, expect, it } from "vitest";
import { access, Bench, expectBalance, frame, nic, nicText } from "../../test/engine-bench.ts";
import { LENGTH_PREFIX_BYTES, recordOf } from "./ethernet-frame.ts";
import { BROADCAST_MAC } from "./mac-address.ts";
import type { PortSettings, SwitchPort } from "./switch-port.ts";

const bridging: Partial<PortSettings> = {
  security: { promiscuous: true, forgedTransmits: true, macChanges: false },
  macLearning: { enabled: true, limit: 4096, whenFull: "flood", floodUnknown: true },
};

/** A VM with a NIC at two ports, which sends out of the one what it gets by the other, as a bridge without a spanning tree does. */
class BridgingVm {
  readonly ports: SwitchPort[];
  readonly #bench: Bench;
  readonly #waiting: { readonly port: SwitchPort; readonly bytes: Buffer }[] = [];
  /** Frames that it has passed on. */
  passed = 0;

  constructor(bench: Bench, vlans: readonly [number, number], settings: Partial<PortSettings> = bridging) {
    this.#bench = bench;
    this.ports = vlans.map((vlan, side) => {
      const macAddress = nicText(50 + side);
      const port: SwitchPort = bench.engine.addPort(
        `side${side}`,
        { macAddress, vlan: access(vlan), ...settings },
        {
          deliver: (buffer, start, end) => {
            const other = this.ports[1 - side];
            if (other !== undefined)
              this.#waiting.push({ port: other, bytes: Buffer.from(buffer.subarray(start, end)) });
            return undefined;
          },
          flush: () => undefined,
        },
      );
      port.linkUp = true;
      return port;
    });
  }

  /** Passes frames on until there are none, or so many were. */
  run(most: number): void {
    for (let count = 0; count < most; count += 1) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.passed += 1;
      const record = recordOf(next.bytes);
      this.#bench.engine.receiveFromPort(next.port, record, LENGTH_PREFIX_BYTES, record.length);
      this.#bench.engine.flush();
    }
  }
}

const MOST = 20_000;

describe("a VM that bridges two ports of a VLAN", () => {
  it.each([
    ["with learning", bridging],
    ["without learning", { security: bridging.security }],
    ["that takes other addresses", { security: { promiscuous: true, forgedTransmits: true, macChanges: true } }],
  ])("is cut off after some hundred frames, %s, and everything is counted", (_, settings) => {
    let now = 0;
    const bench = new Bench({ now: () => now });
    const speaker = bench.port(1, access(10));
    const listener = bench.port(2, access(10));
    const vm = new BridgingVm(bench, [10, 10], settings);
    bench.send(speaker, frame(BROADCAST_MAC, nic(1)));
    vm.run(MOST);
    expect(vm.passed).toBeLessThan(1_000);
    const [left, right] = vm.ports as [SwitchPort, SwitchPort];
    expect(left.in.statistics().drops.looped ?? right.in.statistics().drops.looped).toBeGreaterThan(0);
    expect([left, right].some((port) => bench.engine.isLooped(port))).toBe(true);
    for (const port of [speaker, listener, left, right]) expectBalance(port);

    // Others are as they were, and the VM itself is reached under its own address.
    bench.take();
    bench.send(speaker, frame(nic(2), nic(1), { id: 7 }));
    expect(bench.take()).toEqual({ p2: [{ id: 7, tag: undefined }] });
    const before = left.out.statistics().frames + right.out.statistics().frames;
    bench.send(speaker, frame(nic(50), nic(1)));
    expect(left.out.statistics().frames + right.out.statistics().frames).toBeGreaterThan(before);

    // Each further time it is cut off for longer.
    vm.run(MOST);
    const loops = (): number => {
      const from = vm.passed;
      bench.send(speaker, frame(BROADCAST_MAC, nic(1)));
      bench.engine.flush();
      vm.run(MOST);
      return vm.passed - from;
    };
    expect(loops()).toBeLessThan(10);
    now = 1_500;
    bench.engine.flush();
    expect(loops()).toBeGreaterThan(10);
    now = 3_000;
    bench.engine.flush();
    expect(loops()).toBeLessThan(10);
  });

  it("also with frames of other hosts", () => {
    const bench = new Bench({ now: () => 0 }, ["far"]);
    bench.port(1, access(10));
    const vm = new BridgingVm(bench, [10, 10]);
    bench.fromPeer("far", 10, frame(BROADCAST_MAC, nic(9)));
    vm.run(MOST);
    expect(vm.passed).toBeLessThan(1_000);
    expect(bench.tunnelled.length).toBeLessThan(1_000);
  });
});

describe("what is no loop", () => {
  it("a VM that joins two VLANs passes frames on without end", () => {
    const bench = new Bench({ now: () => 0 });
    const speaker = bench.port(1, access(10));
    const hearer = bench.port(2, access(20));
    const vm = new BridgingVm(bench, [10, 20]);
    for (let id = 1; id <= 2_000; id += 1) {
      bench.send(speaker, frame(BROADCAST_MAC, nic(1), { id }));
      vm.run(MOST);
    }
    expect(bench.take().p2).toHaveLength(2_000);
    expect(vm.ports.map((port) => bench.engine.isLooped(port))).toEqual([false, false]);
    expectBalance(hearer);
  });

  it("a station that moves now and then, and many behind one port", () => {
    let now = 0;
    const bench = new Bench({ now: () => now });
    const [one, two] = [bench.port(1, access(10), bridging), bench.port(2, access(10), bridging)];
    for (let round = 0; round < 2_000; round += 1) {
      now += 20;
      bench.engine.flush();
      bench.send(round % 2 === 0 ? one : two, frame(BROADCAST_MAC, nic(90)));
      bench.send(one, frame(BROADCAST_MAC, nic(100 + round)));
    }
    for (const port of [one, two]) expect(port.in.statistics().drops.looped).toBeUndefined();
  });
});
