import { createSocket } from "node:dgram";
import { once } from "node:events";
import { startOpenVswitch } from "@vdc-os/ovsdb/testing";
import { describe, expect, it } from "vitest";
import { IpfixReader } from "../../src/wire/ipfix/ipfix-reader.ts";
import { decodeLldp, isLldpFrame } from "../../src/wire/lldp/lldp-reader.ts";
import { formatIpAddress } from "../../src/wire/packet/ip-address.ts";
import { udpFrame } from "../../src/wire/packet/packet-builder.ts";
import { hasOpenVswitch } from "./open-vswitch.ts";

describe.runIf(hasOpenVswitch())("what Open vSwitch sends is read", () => {
  it("IPFIX: its templates, some with elements of an enterprise, and its flows", async () => {
    await using stack = new AsyncDisposableStack();
    const ovs = stack.use(await startOpenVswitch());
    const collector = createSocket("udp4");
    stack.defer(() => new Promise<void>((resolve) => collector.close(() => resolve())));
    collector.bind(0, "127.0.0.1");
    await once(collector, "listening");
    const reader = new IpfixReader();
    const flow = Promise.withResolvers<Readonly<Record<string, Buffer>>>();
    let unreadable: unknown;
    collector.on("message", (message) => {
      try {
        for (const { values } of reader.read(message).records) {
          const source = values.sourceIPv4Address;
          if (source !== undefined && formatIpAddress(source) === "10.0.0.1") flow.resolve(values);
        }
      } catch (error) {
        unreadable ??= error;
        flow.reject(error);
      }
    });
    await ovs.vsctl(
      ...["add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=dummy", "ipfix=@i"],
      ...["--", "--id=@i", "create", "IPFIX", `targets="127.0.0.1:${collector.address().port}"`],
      ...["obs_domain_id=5", "sampling=1", "cache_active_timeout=1"],
    );
    const port = stack.use(await ovs.openPort({ bridge: "br0", name: "p1" }));
    const other = stack.use(await ovs.openPort({ bridge: "br0", name: "p2" }));
    const frame = udpFrame(Buffer.alloc(100), {
      ...{ sourceMac: 0x5254_0000_0701, destinationMac: 0x5254_0000_0702 },
      ...{ source: "10.0.0.1", destination: "10.0.0.2", sourcePort: 1111, destinationPort: 2222 },
    });
    port.send(frame);
    await other.receive({ matching: (each) => each.equals(frame) });
    // The next frame makes the flow be told when its time is over.
    const again = setInterval(() => port.send(frame), 100);
    stack.defer(() => clearInterval(again));
    const values = await flow.promise;
    expect(values.sourceMacAddress?.toString("hex")).toBe("525400000701");
    expect(values.destinationTransportPort?.readUInt16BE()).toBe(2222);
    expect(values.octetDeltaCount?.readBigUInt64BE()).toBeGreaterThan(0n);
    expect(unreadable).toBeUndefined();
  });

  it("LLDP", async () => {
    await using ovs = await startOpenVswitch();
    await ovs.vsctl("add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=dummy");
    await using port = await ovs.openPort({ bridge: "br0", name: "p1" });
    await ovs.vsctl("set", "Interface", "p1", "lldp:enable=true");
    const frame = await port.receive({ matching: isLldpFrame, timeoutMs: 45_000 });
    expect(decodeLldp(frame)).toMatchObject({
      chassisId: { kind: "mac" },
      ttlSeconds: expect.any(Number),
      capabilities: { supported: expect.arrayContaining(["bridge"]) },
    });
  });
});
