import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mangled, wireRuns } from "../test/mangled.ts";
import { WireError } from "../wire-error.ts";
import { erspanOverhead, erspanTypeII, erspanTypeIII, readErspan } from "./erspan-packet.ts";

const meta = fc.record({
  session: fc.nat({ max: 1023 }),
  sequence: fc.nat({ max: 0xffff_ffff }),
  vlan: fc.nat({ max: 4095 }),
  priority: fc.nat({ max: 7 }),
  tagged: fc.boolean(),
  truncated: fc.boolean(),
  portNumber: fc.nat({ max: 0x7_ffff }),
  direction: fc.constantFrom("in" as const, "out" as const),
});
const frame = fc.uint8Array({ minLength: 14, maxLength: 90 }).map((bytes) => Buffer.from(bytes));

describe("ERSPAN", () => {
  it("type II is GRE with a sequence number, and the draft's header", () => {
    const packet = erspanTypeII(Buffer.from("ff", "hex"), {
      session: 5,
      sequence: 258,
      vlan: 10,
      truncated: true,
      direction: "out",
    });
    expect(packet.toString("hex")).toBe("100088be00000102100a140500000001ff");
  });

  it("round-trips in both types", () => {
    fc.assert(
      fc.property(meta, frame, fc.nat({ max: 1_000_000 }), (said, bytes, tenths) => {
        const two = erspanTypeII(bytes, said);
        expect(two.length).toBe(erspanOverhead(2) + bytes.length);
        expect(readErspan(two)).toEqual({ type: 2, ...said, frame: bytes });
        const three = erspanTypeIII(bytes, { ...said, timeMs: tenths / 10 });
        expect(three.length).toBe(erspanOverhead(3) + bytes.length);
        expect(readErspan(three)).toEqual({
          ...{ type: 3, ...said, tagged: false, portNumber: 0 },
          ...{ timeMs: tenths / 10, frame: bytes },
        });
      }),
      wireRuns,
    );
  });

  it("has no other sessions than 0 to 1023", () => {
    for (const session of [-1, 1024, 1.5, Number.NaN]) {
      expect(() => erspanTypeII(Buffer.alloc(14), { session, sequence: 0, vlan: 0 })).toThrow(
        expect.objectContaining({ code: "INVALID_ARGUMENT" }),
      );
    }
  });

  it("is refused with a typed error when it is malformed", () => {
    const said = { session: 1, sequence: 1, vlan: 1 };
    const good = [erspanTypeII(Buffer.alloc(60), said), erspanTypeIII(Buffer.alloc(60), { ...said, timeMs: 1 })];
    fc.assert(
      fc.property(mangled(good), (bytes) => {
        try {
          expect(readErspan(bytes).frame.length).toBeLessThan(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
          expect(error).toMatchObject({ code: "MALFORMED" });
        }
      }),
      wireRuns,
    );
  });
});
