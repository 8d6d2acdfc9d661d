import { describe, expect, test } from "vitest";
import { WireFormatError } from "../grpc/protobuf-reader.ts";
import { createVolumeRequest } from "./controller-messages.ts";
import { controller } from "./controller-service.ts";
import { identity } from "./identity-service.ts";
import { node } from "./node-service.ts";
import { csiSnapshot, csiVolume, topology } from "./volume-messages.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("messages lie on the wire as Protocol Buffers have them", () => {
  test("a request with every kind of field", () => {
    const bytes = createVolumeRequest.encode({
      name: "a",
      capacityRange: { requiredBytes: 300 },
      volumeCapabilities: [{ block: {}, accessMode: { mode: 1 } }],
      parameters: { k: "v" },
      contentSource: { snapshot: { snapshotId: "s" } },
    });
    expect(hex(bytes)).toBe("0a0161" + "120308ac02" + "1a060a001a020801" + "22060a016b120176" + "32050a030a0173");
    expect(createVolumeRequest.decode(bytes)).toMatchObject({
      name: "a",
      capacityRange: { requiredBytes: 300, limitBytes: 0 },
      volumeCapabilities: [{ block: {}, mount: undefined, accessMode: { mode: 1 } }],
      parameters: { k: "v" },
      secrets: {},
      contentSource: { snapshot: { snapshotId: "s" }, volume: undefined },
    });
  });

  test("the largest safe integer and a negative one survive; a larger one is refused, not rounded", () => {
    for (const capacityBytes of [Number.MAX_SAFE_INTEGER, -1, 0]) {
      expect(csiVolume.decode(csiVolume.encode({ capacityBytes })).capacityBytes).toBe(capacityBytes);
    }
    expect(hex(csiVolume.encode({ capacityBytes: -1 }))).toBe("08ffffffffffffffffff01");
    const beyond = Buffer.from("08ffffffffffffffff7f", "hex");
    expect(() => csiVolume.decode(beyond)).toThrow(WireFormatError);
    expect(() => csiVolume.encode({ capacityBytes: 2 ** 53 })).toThrow(RangeError);
  });

  test("unknown fields of any type are skipped, and what is not there has its default", () => {
    const unknown = Buffer.from("980601" + "a10600000000000000aa" + "aa060178" + "ad0600000000", "hex");
    expect(csiSnapshot.decode(unknown)).toEqual(csiSnapshot.decode(new Uint8Array()));
  });

  test("a key of a map can be anything", () => {
    const segments = JSON.parse('{"__proto__":"x","constructor":"y"}');
    const decoded = topology.decode(topology.encode({ segments }));
    expect(Object.entries(decoded.segments)).toEqual([
      ["__proto__", "x"],
      ["constructor", "y"],
    ]);
  });

  test.each(["0a", "0a05", "0aff", "08", "0880808080808080808080", "0b", "0001", "0c", "0aff01"])(
    "'%s' is refused",
    (bytes) => {
      expect(() => csiVolume.decode(Buffer.from(bytes, "hex"))).toThrow(WireFormatError);
    },
  );

  test("random bytes are decoded or refused, never anything else", () => {
    const methods = [...Object.values(identity), ...Object.values(controller), ...Object.values(node)];
    let seed = 1;
    const next = (): number => {
      // A linear congruential generator (Numerical Recipes): the same bytes at every run.
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed >>> 24;
    };
    const runs = process.env.VDC_DEEP ? 200_000 : 5_000;
    for (let run = 0; run < runs; run++) {
      const bytes = Uint8Array.from({ length: next() % 40 }, () => (next() < 128 ? next() % 32 : next()));
      const { request, response } = methods[run % methods.length] as (typeof methods)[number];
      for (const type of [request, response]) {
        try {
          type.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireFormatError);
        }
      }
    }
  });
});
