import { describe, expect, it } from "vitest";
import { type AnnotatedPacket, pcapFile, pcapngFile } from "@vdc-os/pcap";
import { arpFrame, udpFrame } from "../../src/wire/packet/packet-builder.ts";
import { dissectFile, hasTshark } from "./tshark.ts";

const MACS = { destinationMac: 0x5254_0000_0002, sourceMac: 0x5254_0000_0001 };
const PORTS = { sourcePort: 40000, destinationPort: 40001 };

async function bytesOf(pieces: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

const arp = arpFrame(
  { operation: "request", senderMac: MACS.sourceMac, senderAddress: "192.0.2.1", targetAddress: "192.0.2.2" },
  { ...MACS, destinationMac: 0xffff_ffff_ffff },
);
const packets: AnnotatedPacket[] = [
  { data: arp, timeNs: 1_700_000_000_123_456_789n, interfaceName: "web-nic0", direction: "in" },
  {
    data: udpFrame(Buffer.from("four"), { ...MACS, ...PORTS, source: "192.0.2.1", destination: "192.0.2.2" }),
    timeNs: 1_700_000_000_223_456_789n,
    interfaceName: "db-nic0",
    direction: "out",
    comment: "mirrored",
  },
  {
    data: udpFrame(Buffer.from("sixes"), {
      ...MACS,
      ...PORTS,
      tag: 0xa00a,
      source: "2001:db8::1",
      destination: "fe80::2",
      dscp: 46,
    }),
    timeNs: 1_700_000_001_000_000_000n,
    interfaceName: "web-nic0",
  },
  {
    data: udpFrame(Buffer.alloc(900), { ...MACS, ...PORTS, source: "192.0.2.1", destination: "192.0.2.2" }).subarray(
      0,
      96,
    ),
    originalLength: 942,
    timeNs: 1_700_000_002_000_000_000n,
    interfaceName: "web-nic0",
  },
];

describe.runIf(hasTshark())("what tshark makes of capture files", () => {
  const fields = [
    "frame.time_epoch",
    "frame.cap_len",
    "frame.len",
    "udp.checksum.status",
    "vlan.id",
    "ipv6.tclass.dscp",
  ];
  const expected = (time: (whole: string) => string): string[][] => [
    [time("1700000000.123456789"), "60", "60", "", "", ""],
    [time("1700000000.223456789"), "46", "46", "1", "", ""],
    [time("1700000001.000000000"), "71", "71", "1", "10", "46"],
    // The payload that would be summed is not there.
    [time("1700000002.000000000"), "96", "942", "2", "", ""],
  ];

  it("reads nanosecond pcap", async () => {
    expect(dissectFile(await bytesOf(pcapFile(packets)), fields)).toEqual(expected((whole) => whole));
  });

  it("reads microsecond pcap", async () => {
    const file = await bytesOf(pcapFile(packets, { resolution: "microseconds" }));
    expect(dissectFile(file, fields)).toEqual(expected((whole) => `${whole.slice(0, -3)}000`));
  });

  it("reads pcapng with interface names, directions and comments", async () => {
    const file = await bytesOf(pcapngFile(packets, { comment: "of a test" }));
    expect(dissectFile(file, fields)).toEqual(expected((whole) => whole));
    expect(dissectFile(file, ["frame.interface_name", "frame.packet_flags_direction", "frame.comment"])).toEqual([
      ["web-nic0", "0x00000001", ""],
      ["db-nic0", "0x00000002", "mirrored"],
      ["web-nic0", "", ""],
      ["web-nic0", "", ""],
    ]);
    const micro = await bytesOf(pcapngFile(packets, { resolution: "microseconds", snapLength: 20 }));
    expect(dissectFile(micro, ["frame.time_epoch", "frame.cap_len", "frame.len"])[1]).toEqual([
      "1700000000.223456000",
      "20",
      "46",
    ]);
  });
});
