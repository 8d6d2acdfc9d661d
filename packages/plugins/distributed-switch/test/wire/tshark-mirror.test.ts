import { describe, expect, it } from "vitest";
import { vxlanHeader } from "../../src/dataplane/vxlan-header.ts";
import { erspanFrame, erspanTypeII, erspanTypeIII } from "../../src/wire/mirror/erspan-packet.ts";
import { udpFrame } from "../../src/wire/packet/packet-builder.ts";
import { dissect, hasTshark } from "./tshark.ts";

const inner = udpFrame(Buffer.from("mirrored"), {
  ...{ sourceMac: 0x5254_0000_0001, destinationMac: 0x5254_0000_0002, tag: 0x600a },
  ...{ source: "10.0.0.1", destination: "10.0.0.2", sourcePort: 1000, destinationPort: 2000 },
});
const outer = {
  sourceMac: 0x5254_0000_0011,
  nextHopMac: 0x5254_0000_0012,
  source: "192.0.2.1",
  destination: "192.0.2.2",
};
const outer6 = { ...outer, source: "2001:db8::1", destination: "2001:db8::2" };
const meta = { session: 77, sequence: 9, vlan: 10, priority: 3, tagged: true, direction: "out" } as const;

describe.runIf(hasTshark())("what tshark makes of remote mirrors", () => {
  it("reads ERSPAN of type II and III, over IPv4 and IPv6", () => {
    const fields = [
      ...["erspan.version", "erspan.spanid", "erspan.vlan", "erspan.cos", "erspan.truncated", "gre.sequence_number"],
      ...["vlan.id", "udp.dstport", "erspan.direction", "erspan.encap", "erspan.timestamp"],
    ];
    const two = erspanTypeII(inner, { ...meta, portNumber: 3 });
    const three = erspanTypeIII(inner, { ...meta, timeMs: 1234.5 });
    const read = dissect(
      [
        erspanFrame(two, outer),
        erspanFrame(three, outer),
        erspanFrame(two, outer6),
        erspanFrame(three, { ...outer6, vlanTag: 5 }),
      ],
      fields,
    );
    expect(read[0]).toEqual(["1", "77", "10", "3", "0", "9", "10", "2000", "", "3", ""]);
    expect(read[1]).toEqual(["2", "77", "10", "3", "0", "9", "10", "2000", "1", "", "12345"]);
    expect(read[2]).toEqual(read[0]);
    expect(read[3]).toEqual(["2", "77", "10", "3", "0", "9", "5,10", "2000", "1", "", "12345"]);
  });

  it("reads VXLAN", () => {
    const untagged = Buffer.concat([inner.subarray(0, 12), inner.subarray(16)]);
    const datagram = udpFrame(Buffer.concat([vxlanHeader(4096 + 10), untagged]), {
      ...{ sourceMac: 1, destinationMac: 2, source: "192.0.2.1", destination: "192.0.2.2" },
      ...{ sourcePort: 50_000, destinationPort: 4789 },
    });
    expect(dissect([datagram], ["vxlan.vni", "vxlan.flag_i", "ip.dst", "udp.dstport"])).toEqual([
      ["4106", "1", "192.0.2.2,10.0.0.2", "4789,2000"],
    ]);
  });
});
