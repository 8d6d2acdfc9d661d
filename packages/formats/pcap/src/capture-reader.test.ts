import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mangled, runs } from "./test/mangled.ts";
import { PcapError } from "./pcap-error.ts";
import { readCapture } from "./capture-reader.ts";
import type { AnnotatedPacket } from "./captured-packet.ts";
import { portPacket } from "./port-packet.ts";
import { PcapWriter } from "./pcap-writer.ts";
import { PcapngWriter, type PcapngOptions } from "./pcapng-writer.ts";

const packet: fc.Arbitrary<AnnotatedPacket> = fc.record({
  data: fc.uint8Array({ maxLength: 90 }).map((bytes) => Buffer.from(bytes)),
  timeNs: fc.bigInt({ min: 0n, max: (1n << 32n) * 1_000_000_000n - 1n }),
  originalLength: fc.option(fc.integer({ min: 100, max: 9000 }), { nil: undefined }),
  interfaceName: fc.constantFrom("web-nic0", "db-nic0", "ü", ""),
  direction: fc.constantFrom("in" as const, "out" as const, undefined),
  comment: fc.option(fc.string({ maxLength: 9 }), { nil: undefined }),
  missed: fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined }),
});

function pcap(packets: readonly AnnotatedPacket[], resolution: "microseconds" | "nanoseconds"): Buffer {
  const writer = new PcapWriter({ resolution });
  return Buffer.concat([writer.header(), ...packets.map((each) => writer.packet(each))]);
}

function pcapng(packets: readonly AnnotatedPacket[], options: PcapngOptions = {}): Buffer {
  const writer = new PcapngWriter(options);
  return Buffer.concat([writer.header(), ...packets.map((each) => writer.packet(each))]);
}

describe("capture files", () => {
  it("come back from pcap as they were, to the resolution", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 5 }), (packets) => {
        const expected = packets.map(({ data, timeNs, originalLength }) => ({
          data,
          timeNs,
          originalLength: originalLength ?? data.length,
        }));
        expect(readCapture(pcap(packets, "nanoseconds"))).toEqual({ format: "pcap", packets: expected });
        expect(readCapture(pcap(packets, "microseconds")).packets.map(({ timeNs }) => timeNs)).toEqual(
          packets.map(({ timeNs }) => (timeNs / 1000n) * 1000n),
        );
      }),
      { ...runs, numRuns: runs.numRuns / 5 },
    );
  });

  it("come back from pcapng with names, directions and comments", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 5 }), (packets) => {
        const { packets: read } = readCapture(pcapng(packets));
        expect(read).toEqual(
          packets.map((each) => ({ ...each, originalLength: each.originalLength ?? each.data.length })),
        );
      }),
      { ...runs, numRuns: runs.numRuns / 5 },
    );
  });

  it("are cut to the snap length, which the original length outlives", () => {
    const long = { data: Buffer.alloc(100, 7), timeNs: 1n };
    for (const file of [
      Buffer.concat([new PcapWriter({ snapLength: 60 }).header(), new PcapWriter({ snapLength: 60 }).packet(long)]),
      pcapng([long], { snapLength: 60 }),
    ]) {
      const [read] = readCapture(file).packets;
      expect([read?.data.length, read?.originalLength]).toEqual([60, 100]);
    }
  });

  it("say why a frame was dropped and how many were missed, when they are of a port's capture", () => {
    const captured = {
      ...({ atMicroseconds: 1_700_000_000_000_001, direction: "in", originalLength: 100 } as const),
      ...{ data: Buffer.from("frame").toString("base64"), dropped: "blocked", missed: 3 },
    };
    const [read] = readCapture(pcapng([portPacket(captured, "web-nic0")])).packets;
    expect(read).toEqual({
      ...{ data: Buffer.from("frame"), timeNs: 1_700_000_000_000_001_000n, originalLength: 100, missed: 3 },
      ...{ interfaceName: "web-nic0", direction: "in", comment: "dropped: blocked" },
    });
    expect(portPacket({ ...captured, dropped: undefined }, "x").comment).toBeUndefined();
  });

  it("describe each interface once", () => {
    const writer = new PcapngWriter();
    expect(writer.describeInterface({ name: "a", description: "first", macAddress: Buffer.alloc(6) }).length).not.toBe(
      0,
    );
    expect(writer.describeInterface({ name: "a" }).length).toBe(0);
  });

  it("are refused with a typed error, in bounded time, when they are none", () => {
    const packets = fc.sample(packet, { seed: 1, numRuns: 4 });
    const good = [pcap(packets, "nanoseconds"), pcapng(packets)];
    fc.assert(
      fc.property(mangled(good), (bytes) => {
        try {
          const read = readCapture(bytes);
          expect(read.packets.reduce((sum, { data }) => sum + data.length, 0)).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(PcapError);
          expect(error).toMatchObject({ code: "MALFORMED" });
        }
      }),
      runs,
    );
  });
});
