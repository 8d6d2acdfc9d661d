import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeMatch, encodeMatch, OpenFlowError } from "../src/index.ts";
import { checkBundleReply } from "../src/messages/bundle.ts";
import { parseFeatures } from "../src/messages/features.ts";
import { parseAggregate, parseFlowStats } from "../src/messages/flow-stats.ts";
import { speaksOurVersion } from "../src/messages/hello.ts";
import { parseMeterStats } from "../src/messages/meter.ts";
import { parseMultipart } from "../src/messages/multipart.ts";
import { parsePacketIn } from "../src/messages/packet.ts";
import { parsePortStats, parsePortStatus, parsePorts } from "../src/messages/port.ts";
import { parseRefusal } from "../src/refusal/openflow-refusal.ts";
import { MessageSplitter } from "../src/wire/message-splitter.ts";
import { flowStats, packetIn, portDescription } from "./switch-words.ts";
import { runs } from "./runs.ts";

const parsers: Readonly<Record<string, (body: Buffer) => unknown>> = {
  parseFlowStats,
  parseAggregate,
  parsePortStats,
  parsePorts,
  parsePortStatus,
  parseMeterStats,
  parseMultipart,
  parseRefusal,
  parsePacketIn,
  parseFeatures,
  decodeMatch,
  bundle: (body) => checkBundleReply(body, 1, "open"),
  speaksOurVersion: (body) => speaksOurVersion(4, body),
  splitter: (body) => new MessageSplitter().push(body),
};

/** Whatever comes: a result, or the one failure that is told. */
function mayFail(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof OpenFlowError) || error.code !== "OPENFLOW_PROTOCOL") throw error;
  }
}

test("arbitrary octets are never more than a failure that is told", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (octets) => {
      const body = Buffer.from(octets);
      for (const parse of Object.values(parsers)) mayFail(() => parse(body));
    }),
    runs,
  );
});

test("good input with octets changed, cut off or put in is never more than a failure that is told", () => {
  const good = {
    parseFlowStats: Buffer.concat([flowStats(1, 1n), flowStats(2, 2n), flowStats(3, 3n)]),
    parsePacketIn: packetIn(Buffer.alloc(60)),
    decodeMatch: encodeMatch([
      { field: "inPort", value: 1n },
      { field: "ipv6Src", value: 1n, mask: 3n },
    ]),
    parsePorts: Buffer.concat([portDescription(1, "p1"), portDescription(2, "p2")]),
    parsePortStatus: Buffer.concat([Buffer.alloc(8), portDescription(1, "p1")]),
    parseMeterStats: meter(),
    parseRefusal: Buffer.from("ffff08fc4f4e4600", "hex"),
    speaksOurVersion: Buffer.from("0001000800000010", "hex"),
  };
  const change = fc.record({
    at: fc.nat(400),
    octet: fc.constantFrom(0, 1, 7, 8, 0x7f, 0x80, 0xff),
    kind: fc.constantFrom("set", "put", "cut"),
  });
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.entries(good)),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      ([name, octets], changes) => {
        let changed = Buffer.from(octets);
        for (const { at, octet, kind } of changes) {
          const place = changed.length === 0 ? 0 : at % changed.length;
          if (kind === "set") changed[place] = octet;
          else if (kind === "cut") changed = changed.subarray(0, place);
          else changed = Buffer.concat([changed.subarray(0, place), Buffer.from([octet]), changed.subarray(place)]);
        }
        mayFail(() => parsers[name]?.(changed));
      },
    ),
    runs,
  );
});

test("what claims to be long is not taken at its word", () => {
  // A flow, a match and a meter that say that they have 64 KiB, in what has a hundred octets.
  const flow = flowStats(1, 1n);
  flow.writeUInt16BE(0xffff, 0);
  expect(() => parseFlowStats(flow)).toThrow("65535 octets");
  const match = flowStats(1, 1n);
  match.writeUInt16BE(0xffff, 50);
  expect(() => parseFlowStats(match)).toThrow("cut off");
  const bands = meter();
  bands.writeUInt16BE(0xfff8, 4);
  expect(() => parseMeterStats(bands)).toThrow("65528 octets");
});

test("what claims to have no length does not go on for ever", () => {
  const flow = flowStats(1, 1n);
  flow.writeUInt16BE(0, 0);
  expect(() => parseFlowStats(flow)).toThrow("0 octets");
  const bands = meter();
  bands.writeUInt16BE(0, 4);
  expect(() => parseMeterStats(bands)).toThrow("0 octets");
  expect(speaksOurVersion(4, Buffer.alloc(64))).toBe(true);
});

/** A meter as a switch tells it, with a band. */
function meter(): Buffer {
  const stats = Buffer.alloc(56);
  stats.writeUInt32BE(9, 0);
  stats.writeUInt16BE(56, 4);
  stats.writeBigUInt64BE(3n, 40);
  return stats;
}
