import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ethernetFrame } from "../../src/wire/packet/packet-builder.ts";
import type { DeviceHandlers } from "../../src/wire/tap/tap-device.ts";
import { HostInterface } from "../../src/wire/tap/host-interface.ts";
import { hasMacvtap, InterfaceWire } from "./interface-wire.ts";
import { NetworkNamespace } from "./network-namespace.ts";
import { NodeStation } from "./node-station.ts";

const ETHERTYPE = 0x88b5;

class Inbox {
  readonly frames: Buffer[] = [];
  #wake: (() => void) | undefined;
  readonly handlers: DeviceHandlers = {
    onFrame: (buffer, start, end) => this.frames.push(Buffer.from(buffer.subarray(start, end))),
    onBatchEnd: () => this.#wake?.(),
  };

  /** The frames that hold a text, when there are so many; the kernel says things of its own on any interface. */
  async until(text: string, count: number): Promise<Buffer[]> {
    for (;;) {
      const found = this.frames.filter((frame) => frame.includes(text));
      if (found.length >= count) return found;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

describe.runIf(hasMacvtap())("an interface of the kernel as an uplink", () => {
  it("carries frames whole, tagged and untagged, up to jumbo frames", async () => {
    using wire = new InterfaceWire();
    const inbox = new Inbox();
    const nothing: DeviceHandlers = { onFrame: () => undefined, onBatchEnd: () => undefined };
    await using a = await HostInterface.open({ interfaceName: wire.a, ...nothing });
    await using b = await HostInterface.open({ interfaceName: wire.b, ...inbox.handlers });
    expect([a.carrier(), b.carrier()]).toEqual([true, true]);
    const macs = { sourceMac: 0x5254_0000_0601, destinationMac: 0x5254_0000_0602 };
    const payload = (length: number): Buffer =>
      Buffer.concat([Buffer.from("uplink-test"), Buffer.alloc(length, length)]);
    const sent = [
      ethernetFrame(ETHERTYPE, payload(50), macs),
      ethernetFrame(ETHERTYPE, payload(60), { ...macs, tag: 0x600a }),
      ethernetFrame(ETHERTYPE, payload(8900), { ...macs, tag: 10, destinationMac: 0xffff_ffff_ffff }),
      ethernetFrame(ETHERTYPE, payload(70), { ...macs, destinationMac: 0x0180_c200_000e }),
    ];
    // The kernel activates a new link when it comes to that; until then frames are lost.
    const hello = ethernetFrame(ETHERTYPE, Buffer.from("uplink-hello"), macs);
    const again = setInterval(() => a.deliver(hello, 0, hello.length), 20);
    await inbox.until("uplink-hello", 1);
    clearInterval(again);
    for (const frame of sent) expect(a.deliver(frame, 0, frame.length)).toBeUndefined();
    // Group frames may come later than the others.
    const byLength = (frames: readonly Buffer[]): Buffer[] => [...frames].sort((x, y) => x.length - y.length);
    expect(byLength(await inbox.until("uplink-test", sent.length))).toEqual(byLength(sent));
  });

  it("reaches a host at its other end, whose kernel leaves checksums to its NIC", async () => {
    using namespace = new NetworkNamespace();
    using wire = new InterfaceWire();
    namespace.take(wire.b);
    namespace.ip(`addr add 10.6.0.2/24 dev ${wire.b}`);
    namespace.ip(`link set ${wire.b} up`);
    const station = new NodeStation({ mac: 0x5254_0000_0603, address: "10.6.0.1" });
    await using uplink = await HostInterface.open({
      interfaceName: wire.a,
      onFrame: (buffer, start, end) => station.receive(Buffer.from(buffer.subarray(start, end))),
      onBatchEnd: () => undefined,
    });
    station.send = (frame) => uplink.deliver(frame, 0, frame.length);
    expect(await station.ping("10.6.0.2", { largest: 8900 })).toBeGreaterThan(0);
  });

  it("is given back when it is closed, and taken over when a killed process left it", async () => {
    using wire = new InterfaceWire();
    const nothing: DeviceHandlers = { onFrame: () => undefined, onBatchEnd: () => undefined };
    const first = await HostInterface.open({ interfaceName: wire.a, ...nothing });
    await first.close();
    const index = readFileSync(`/sys/class/net/${wire.a}/ifindex`, "utf8").trim();
    expect(existsSync(`/sys/class/net/vdcu${index}`)).toBe(false);
    const left = ["link", "add", "link", wire.a, "name", `vdcu${index}`, "type", "macvtap", "mode", "passthru"];
    execFileSync("ip", left);
    await using again = await HostInterface.open({ interfaceName: wire.a, ...nothing });
    expect(again.deliver(Buffer.alloc(60), 0, 60)).toBeUndefined();
  });

  it("says in words why there is none", async () => {
    const nothing: DeviceHandlers = { onFrame: () => undefined, onBatchEnd: () => undefined };
    await expect(HostInterface.open({ interfaceName: "no-such-if", ...nothing })).rejects.toMatchObject({
      ...{ code: "UNAVAILABLE", message: "there is no network interface 'no-such-if' on this host" },
    });
    await expect(HostInterface.open({ interfaceName: "lo", ...nothing })).rejects.toMatchObject({
      code: "UNAVAILABLE",
    });
  });
});
