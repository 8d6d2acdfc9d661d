import { expect, test } from "vitest";
import { flowStats, packetIn, portDescription } from "../../test/switch-words.ts";
import { decodeMatch, fieldValue } from "../flow/match.ts";
import { parseRefusal } from "../refusal/openflow-refusal.ts";
import { parseFlowStats } from "./flow-stats.ts";
import { speaksOurVersion } from "./hello.ts";
import { parsePacketIn } from "./packet.ts";
import { parsePortStatus, parsePorts } from "./port.ts";

test("flows are read with their counters and their matches", () => {
  const [first, second] = parseFlowStats(Buffer.concat([flowStats(7, 0xabcdn), flowStats(8, 1n)]));
  expect(first).toMatchObject({ table: 7, priority: 10, cookie: 0xabcdn, frames: 7n, octets: 420n });
  expect(first?.match.length).toBe(16);
  expect(decodeMatch(first?.match ?? Buffer.alloc(0))).toEqual([{ field: "inPort", value: 3n }]);
  expect(second).toMatchObject({ table: 8, cookie: 1n });
});

test("a frame for the controller is read with its port and its registers", () => {
  const frame = Buffer.from("a frame");
  const read = parsePacketIn(packetIn(frame));
  expect(read).toMatchObject({ table: 7, cookie: 0xabcdn, originalLength: 1_514, data: frame });
  expect([fieldValue(read.match, "inPort"), fieldValue(read.match, "reg0")]).toEqual([5n, 9n]);
  expect(fieldValue(read.match, "reg1")).toBeUndefined();
});

test("ports are read, and what became of one", () => {
  const port = { number: 4, name: "vif4", mac: "52:54:00:00:00:04", isDisabled: false, hasLink: true };
  expect(parsePorts(portDescription(4, "vif4"))).toEqual([{ ...port, currentSpeed: 1_000_000 }]);
  const gone = portDescription(4, "a-name-of-16-oct");
  gone.writeUInt32BE(1, 36);
  const status = parsePortStatus(Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), gone]));
  expect(status).toMatchObject({ reason: "deleted", port: { name: "a-name-of-16-oct", hasLink: false } });
});

test.each([
  ["00010005", "OFPBRC_EPERM"],
  ["0005 0001", "OFPFMFC_TABLE_FULL"],
  ["0004 0009", "OFPBMC_BAD_PREREQ"],
  ["000c 0003", "OFPMMFC_UNKNOWN_METER"],
  ["000b 0000", "OFPRRFC_STALE"],
  ["ffff 0906 4f4e4600", "OFPBFC_MSG_UNSUP"],
  ["ffff 090b 4f4e4600", "OFPBFC_BUNDLE_IN_PROGRESS"],
  ["ffff 000d 00002320", "NXFMFC_BAD_TABLE_ID"],
  ["0005 0063", "error 5, code 99"],
  ["0063 0001", "error 99, code 1"],
  ["ffff 0001 00001234", "error 65535, code 1 of experimenter 0x1234"],
])("error %s is %s", (octets, name) => {
  expect(parseRefusal(Buffer.from(octets.replaceAll(" ", ""), "hex")).name).toBe(name);
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
