import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";
import { erspanTypeII, readErspan } from "../../src/wire/mirror/erspan-packet.ts";
import { arpFrame } from "../../src/wire/packet/packet-builder.ts";
import { PROTOCOL_GRE, readPacketHeaders } from "../../src/wire/packet/packet-headers.ts";
import { openGre } from "../../src/wire/services/gre-transport.ts";
import { TapDevice } from "../../src/wire/tap/tap-device.ts";
import { hasNamespaces } from "./network-namespace.ts";
import { NodeStation } from "./node-station.ts";
import { dissect, hasTshark } from "./tshark.ts";

it.runIf(hasNamespaces())("ERSPAN leaves by the kernel's raw socket", async () => {
  await using stack = new AsyncDisposableStack();
  // A network for benchmarks, one per process so that two runs don't meet.
  const net = `198.19.${(process.pid >> 6) & 255}`;
  const host = (process.pid & 63) * 4;
  const collector = new NodeStation({ mac: 0x5254_0000_0502, address: `${net}.${host + 2}` });
  const arrived = Promise.withResolvers<Buffer>();
  const tap = stack.use(
    TapDevice.open({
      name: "vdcg%d",
      onFrame: (buffer, start, end) => {
        const frame = Buffer.from(buffer.subarray(start, end));
        collector.receive(frame);
        if (readPacketHeaders(frame)?.ip?.protocol === PROTOCOL_GRE) arrived.resolve(frame);
      },
      onBatchEnd: () => undefined,
    }),
  );
  collector.send = (frame) => tap.deliver(frame, 0, frame.length);
  execFileSync("ip", ["addr", "add", `${net}.${host + 1}/30`, "dev", tap.name]);
  execFileSync("ip", ["link", "set", tap.name, "up"]);
  const transport = openGre();
  if (typeof transport === "string") throw new Error(transport);
  stack.defer(() => transport.close());
  const arp = { operation: "request", senderMac: 2, senderAddress: "10.0.0.1", targetAddress: "10.0.0.2" } as const;
  const mirrored = arpFrame(arp, { sourceMac: 2, destinationMac: 0xffff_ffff_ffff });
  // The kernel keeps the packet until the collector has answered its ARP request.
  expect(transport.send(erspanTypeII(mirrored, { session: 9, sequence: 1, vlan: 3 }), collector.address)).toBe(true);
  const frame = await arrived.promise;
  const headers = readPacketHeaders(frame);
  expect(readErspan(frame.subarray(headers?.ip?.payloadStart, headers?.ip?.payloadEnd))).toMatchObject({
    ...{ session: 9, vlan: 3, frame: mirrored },
  });
  expect(transport.send(Buffer.alloc(8), "::1")).toBe(true);
  if (hasTshark()) expect(dissect([frame], ["erspan.spanid", "ip.proto"])).toEqual([["9", "47"]]);
});
