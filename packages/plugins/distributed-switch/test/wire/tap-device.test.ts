import { describe, expect, it } from "vitest";
import { arpFrame, udpFrame } from "../../src/wire/packet/packet-builder.ts";
import { readNeighbourPacket } from "../../src/wire/packet/neighbour-packet.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, readPacketHeaders } from "../../src/wire/packet/packet-headers.ts";
import { TapDevice } from "../../src/wire/tap/tap-device.ts";
import { hasNamespaces, NetworkNamespace } from "./network-namespace.ts";

const OURS = 0x5254_0000_0101;

/** A tap whose other end is in a namespace, up and with an address. */
class Bench implements Disposable {
  readonly namespace = new NetworkNamespace();
  readonly tap: TapDevice;
  readonly frames: Buffer[] = [];
  closed: string | undefined;
  batches = 0;
  readonly #waiting = new Set<() => void>();

  constructor(pattern = "vdcw%d") {
    this.tap = TapDevice.open({
      name: pattern,
      onFrame: (buffer, start, end) => {
        expect(buffer.readUInt32BE(start - 4)).toBe(end - start);
        this.frames.push(Buffer.from(buffer.subarray(start, end)));
      },
      onBatchEnd: () => {
        this.batches += 1;
        this.#changed();
      },
      onClose: (reason) => {
        this.closed = reason;
        this.#changed();
      },
    });
    this.namespace.take(this.tap.name);
    this.namespace.ip(`link set ${this.tap.name} address 52:54:00:00:02:02`);
    this.namespace.ip(`addr add 10.7.0.2/24 dev ${this.tap.name}`);
    this.namespace.ip(`link set ${this.tap.name} up`);
  }

  send(frame: Buffer): ReturnType<TapDevice["deliver"]> {
    return this.tap.deliver(frame, 0, frame.length);
  }

  async until<T>(find: (bench: Bench) => T | undefined): Promise<T> {
    for (;;) {
      const found = find(this);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  [Symbol.dispose](): void {
    this.tap.close();
    this.namespace[Symbol.dispose]();
  }

  #changed(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

describe.runIf(hasNamespaces())("a tap of the kernel", () => {
  it("takes frames and gives frames: ARP is answered, and a closed UDP port is unreachable", async () => {
    using bench = new Bench();
    expect(bench.tap.name).toMatch(/^vdcw\d+$/);
    const macs = { sourceMac: OURS, destinationMac: 0xffff_ffff_ffff };
    const ask = {
      operation: "request",
      senderMac: OURS,
      senderAddress: "10.7.0.1",
      targetAddress: "10.7.0.2",
    } as const;
    expect(bench.send(arpFrame(ask, macs))).toBeUndefined();
    const reply = await bench.until(({ frames }) =>
      frames
        .map((frame) => readNeighbourPacket(frame))
        .find((packet) => packet?.kind === "arp" && packet.operation === 2),
    );
    expect(reply).toMatchObject({ senderMac: 0x5254_0000_0202, targetMac: OURS });
    // More than a batch of them, in the largest frames that fit the interface.
    const ports = { sourcePort: 1000, source: "10.7.0.1", destination: "10.7.0.2" };
    const to = { sourceMac: OURS, destinationMac: 0x5254_0000_0202 };
    for (let port = 1; port <= 5; port += 1)
      bench.send(udpFrame(Buffer.alloc(1472), { ...ports, ...to, destinationPort: port }));
    const unreachable = await bench.until(({ frames }) =>
      frames.map((frame) => readPacketHeaders(frame)).find((headers) => headers?.ip?.protocol === 1),
    );
    expect(unreachable).toMatchObject({ etherType: ETHERTYPE_IPV4, destinationMac: OURS });
    expect(bench.tap.statistics().framesOut).toBe(6);
    expect(bench.tap.statistics().framesIn).toBe(bench.frames.length);
  });

  it("refuses frames while the interface is down, and says so", () => {
    using bench = new Bench();
    bench.namespace.ip(`link set ${bench.tap.name} down`);
    expect(bench.send(Buffer.alloc(60))).toBe("linkDown");
    expect(bench.tap.statistics()).toMatchObject({ framesOut: 0, refused: 1, tooLong: 0 });
  });

  it("ends when its interface is removed, and when it is closed", async () => {
    using bench = new Bench();
    bench.namespace.ip(`link del ${bench.tap.name}`);
    await bench.until(({ closed }) => closed);
    expect(bench.closed).toBe("the interface was removed");
    expect(bench.send(Buffer.alloc(60))).toBe("linkDown");
    using other = new Bench();
    other.tap.close();
    other.tap.close();
    expect(other.closed).toBe("closed");
    expect(other.namespace.ip("-o link").includes(other.tap.name)).toBe(false);
  });

  it("carries a burst in batches, in order", async () => {
    using bench = new Bench();
    // A bridge within the namespace sends back what comes: every broadcast that we send out of one tap comes in by the other.
    using second = new Bench("vdcx%d");
    bench.namespace.ip("link add br0 type bridge");
    second.namespace.ip(`link set ${second.tap.name} down`);
    second.namespace.ip(`link set ${second.tap.name} netns ${bench.namespace.name}`);
    for (const tap of [bench.tap, second.tap]) {
      bench.namespace.ip(`link set ${tap.name} master br0 mtu 20000`);
      bench.namespace.ip(`link set ${tap.name} up`);
    }
    bench.namespace.ip("link set br0 up");
    // Longer than any frame that a switch carries: dropped, not cut.
    const giant = Buffer.alloc(12_000);
    giant.writeUIntBE(0xffff_ffff_ffff, 0, 6);
    giant.writeUIntBE(OURS, 6, 6);
    giant.writeUInt16BE(ETHERTYPE_ARP + 0x8000, 12);
    expect(bench.send(giant)).toBeUndefined();
    const COUNT = 300;
    for (let index = 0; index < COUNT; index += 1) {
      const frame = Buffer.alloc(60 + index, index & 0xff);
      frame.writeUIntBE(0xffff_ffff_ffff, 0, 6);
      frame.writeUIntBE(OURS, 6, 6);
      frame.writeUInt16BE(ETHERTYPE_ARP + 0x8000, 12);
      frame.writeUInt16BE(index, 14);
      expect(bench.send(frame)).toBeUndefined();
    }
    const ours = (each: Bench): Buffer[] =>
      each.frames.filter((frame) => frame.readUInt16BE(12) === ETHERTYPE_ARP + 0x8000);
    await second.until((each) => (ours(each).length === COUNT ? true : undefined));
    expect(ours(second).map((frame) => [frame.readUInt16BE(14), frame.length])).toEqual(
      Array.from({ length: COUNT }, (_, index) => [index, 60 + index]),
    );
    expect(second.batches).toBeLessThan(COUNT);
    expect(second.tap.statistics().tooLong).toBe(1);
  });
});
