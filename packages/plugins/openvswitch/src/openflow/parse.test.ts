import fc from "fast-check";
import { expect, test } from "vitest";
import { addFlow, encodeMessage, messageType, meterMod } from "./messages.ts";
import { OpenFlowError } from "./openflow-error.ts";
import {
  MessageSplitter,
  parseFlowStats,
  parseMeterStats,
  parseMultipart,
  parsePacketIn,
  parsePortStats,
  parseRefusal,
  speaksOurVersion,
} from "./parse.ts";

const options = { seed: 20_261_123, numRuns: process.env.VDC_DEEP ? 50_000 : 2_000 };

/** Whatever comes: a result, or the one failure that is told. */
function mayFail(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof OpenFlowError) || error.code !== "OPENFLOW_PROTOCOL") throw error;
  }
}

/** A flow as a switch tells it, with a match of one field. */
function flowStats(table: number, cookie: bigint): Buffer {
  const flow = Buffer.alloc(64);
  flow.writeUInt16BE(64, 0);
  flow.writeUInt8(table, 2);
  flow.writeUInt16BE(10, 12);
  flow.writeBigUInt64BE(cookie, 24);
  flow.writeBigUInt64BE(7n, 32);
  flow.writeBigUInt64BE(420n, 40);
  flow.writeUInt16BE(1, 48);
  flow.writeUInt16BE(12, 50);
  flow.set([0x80, 0, 0, 4, 0, 0, 0, 3], 52);
  return flow;
}

test("flows are read with their counters and their matches", () => {
  const [first, second] = parseFlowStats(Buffer.concat([flowStats(7, 0xabcdn), flowStats(8, 1n)]));
  expect(first).toMatchObject({ table: 7, priority: 10, cookie: 0xabcdn, frames: 7n, octets: 420n });
  expect(first?.match.length).toBe(16);
  expect(second).toMatchObject({ table: 8, cookie: 1n });
});

/** A frame for the controller, as a switch sends it: with the port that it came in by, and `reg0`. */
function packetIn(frame: Buffer): Buffer {
  const fixed = Buffer.alloc(16);
  fixed.writeUInt16BE(1_514, 4);
  fixed.writeUInt8(7, 7);
  const match = Buffer.from("0001001480000004000000050001000400000009" + "00000000", "hex");
  return Buffer.concat([fixed, match, Buffer.alloc(2), frame]);
}

test("a frame for the controller is read with its registers", () => {
  const frame = Buffer.from("a frame");
  const read = parsePacketIn(packetIn(frame));
  expect(read).toEqual({ table: 7, originalLength: 1_514, inPort: 5, registers: [9, 0, 0, 0], data: frame });
});

test("arbitrary octets are never more than a failure that is told", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (octets) => {
      const body = Buffer.from(octets);
      for (const parse of [
        parseFlowStats,
        parsePortStats,
        parseMeterStats,
        parseMultipart,
        parseRefusal,
        parsePacketIn,
      ]) {
        mayFail(() => parse(body));
      }
      speaksOurVersion(4, body);
      const splitter = new MessageSplitter();
      mayFail(() => splitter.push(body));
    }),
    options,
  );
});

test("good input with octets changed or cut off is never more than a failure that is told", () => {
  const good = Buffer.concat([flowStats(1, 1n), flowStats(2, 2n), flowStats(3, 3n)]);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, octet, length) => {
      const changed = Buffer.from(good.subarray(0, Math.max(at + 1, length)));
      changed[at] = octet;
      mayFail(() => parseFlowStats(changed));
      mayFail(() => parseMeterStats(changed));
      const packet = packetIn(Buffer.alloc(60));
      packet[at % packet.length] = octet;
      mayFail(() => parsePacketIn(packet.subarray(0, length)));
    }),
    options,
  );
});

test("messages are the same however the stream is cut", () => {
  const flow = { table: 3, priority: 4, match: [{ field: "ethDst", value: 5n }], next: 4 } as const;
  const sent = [
    encodeMessage(messageType.echoRequest, Buffer.from("hello")),
    addFlow(flow, 9n),
    meterMod("add", { id: 1, unit: "packets", rate: 10, burst: 10 }),
  ];
  const stream = Buffer.concat(sent);
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 8 }), (cuts) => {
      const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const splitter = new MessageSplitter();
      const got = edges.slice(1).flatMap((end, at) => splitter.push(stream.subarray(edges[at], end)));
      expect(got.map(({ type }) => type)).toEqual([messageType.echoRequest, messageType.flowMod, messageType.meterMod]);
      expect(Buffer.concat(got.map(({ body }) => body))).toEqual(Buffer.concat(sent.map((each) => each.subarray(8))));
    }),
    { ...options, numRuns: Math.min(options.numRuns, 2_000) },
  );
});

test("a hello is understood by its bitmap, and without one by its version", () => {
  const bitmap = (bits: number): Buffer => {
    const body = Buffer.from([0, 1, 0, 8, 0, 0, 0, 0]);
    body.writeUInt32BE(bits, 4);
    return body;
  };
  expect(speaksOurVersion(6, bitmap(1 << 4))).toBe(true);
  expect(speaksOurVersion(6, bitmap(1 << 6))).toBe(false);
  expect(speaksOurVersion(1, Buffer.alloc(0))).toBe(false);
  expect(speaksOurVersion(4, Buffer.alloc(0))).toBe(true);
});
