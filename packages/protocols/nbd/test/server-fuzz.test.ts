import { duplexPair } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NbdServer } from "../src/index.ts";
import * as wire from "../src/wire/wire-constants.ts";
import { edge, junk, runs, SIZE, u16, u32 } from "./fuzz-bytes.ts";
import { createMemoryDisk } from "./memory-disk.ts";

const option = fc
  .record({
    option: fc.oneof(fc.nat(12), edge),
    data: fc.oneof(junk, fc.constant(Buffer.from("00000001640000", "hex"))),
    lie: fc.option(edge),
  })
  .map(({ option, data, lie }) =>
    Buffer.concat([
      u32(wire.OPTION_MAGIC_HIGH),
      u32(wire.OPTION_MAGIC_LOW),
      u32(option),
      u32(lie ?? data.length),
      data,
    ]),
  );
/** Strings with their lengths, as the queries for metadata contexts are; now and then a length lies. */
const contextQuery = fc
  .record({
    isSelection: fc.boolean(),
    name: fc.constantFrom("d", "d", "d", "x", ""),
    queries: fc.array(
      fc.constantFrom("base:allocation", "base:", "qemu:", "qemu:dirty-bitmap:b", "qemu:dirty-bitmap:", "other", ""),
      { maxLength: 5 },
    ),
    count: fc.option(edge),
    lie: fc.option(edge),
  })
  .map(({ isSelection, name, queries, count, lie }) => {
    const strings = queries.map((query) => Buffer.concat([u32(query.length), Buffer.from(query)]));
    const head = [u32(lie ?? name.length), Buffer.from(name), u32(count ?? queries.length)];
    const data = Buffer.concat([...head, ...strings]);
    const option = isSelection ? wire.OPT_SET_META_CONTEXT : wire.OPT_LIST_META_CONTEXT;
    const structured = [wire.OPTION_MAGIC_HIGH, wire.OPTION_MAGIC_LOW, wire.OPT_STRUCTURED_REPLY, 0];
    return Buffer.concat([
      ...structured.map(u32),
      ...[wire.OPTION_MAGIC_HIGH, wire.OPTION_MAGIC_LOW, option, data.length].map(u32),
      data,
    ]);
  });
const request = fc
  .record({
    flags: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(31)),
    type: fc.oneof({ weight: 6, arbitrary: fc.constantFrom(0, 1, 3, 4, 5, 6, 7, 7, 8) }, fc.nat(9)),
    high: fc.constantFrom(0, 0, 0, 0xffff_ffff),
    low: edge,
    length: edge,
    lie: fc.oneof({ weight: 8, arbitrary: fc.constant(Buffer.alloc(0)) }, junk),
  })
  .map(({ flags, type, high, low, length, lie }) => {
    const head = [u32(wire.REQUEST_MAGIC), u16(flags), u16(type), Buffer.alloc(8, 1), u32(high), u32(low), u32(length)];
    const payload = Buffer.alloc(type === wire.CMD_WRITE && length <= SIZE ? length : 0);
    return Buffer.concat([...head, payload, lie]);
  });
/** Enters transmission on the export "d". */
const go = Buffer.concat([
  ...[wire.OPTION_MAGIC_HIGH, wire.OPTION_MAGIC_LOW, wire.OPT_STRUCTURED_REPLY, 0].map(u32),
  ...[wire.OPTION_MAGIC_HIGH, wire.OPTION_MAGIC_LOW, wire.OPT_GO, 7, 1].map(u32),
  Buffer.from("d\0\0"),
]);

/** Sends the bytes in pieces, ends, and awaits the server's end; tells how many requests reached the backend's door. */
async function feed(bytes: Buffer, pieces: readonly number[]): Promise<number> {
  const server = new NbdServer({ maxQueuedBytes: 64 * 1024, handshakeTimeoutMs: 1000 });
  const disk = createMemoryDisk(SIZE);
  let sizeBytes = SIZE;
  const check = (offset: number, length: number): void => {
    if (offset < 0 || length < 0 || offset + length > sizeBytes)
      throw new RangeError("the server let a bad range through");
  };
  const bad: unknown[] = [];
  let reached = 0;
  server.addExport({
    name: "d",
    allowResize: true,
    backend: {
      ...disk,
      get sizeBytes() {
        return sizeBytes;
      },
      resize: (size) => {
        if (size > SIZE) throw Object.assign(new Error("too large"), { code: "ENOSPC" });
        sizeBytes = size;
      },
      sparseReads: true,
      fastZeroes: true,
      cache: () => {},
      bitmaps: () => [{ name: "b", extents: async (_offset, length) => [{ length, dirty: true }] }],
    },
    interceptor: {
      before: ({ command, offset, length }) => {
        reached++;
        try {
          if (command === "resize") expect([Number.isSafeInteger(offset), length]).toEqual([true, 0]);
          else check(offset, length);
        } catch (error) {
          bad.push(error);
        }
      },
    },
  });
  const [ours, theirs] = duplexPair();
  const gone = new Promise<void>((resolve) => theirs.once("close", () => resolve()));
  server.serve(theirs);
  ours.on("error", () => {});
  ours.resume();
  let at = 0;
  for (const size of pieces) {
    ours.write(bytes.subarray(at, at + size));
    at += size;
  }
  ours.end(bytes.subarray(at));
  await gone;
  await server.close({ graceMs: 0 });
  expect(bad).toEqual([]);
  expect(server.connections).toEqual([]);
  return reached;
}

describe("the server's parser", () => {
  test("survives random bytes at every point of the protocol", async () => {
    const start = fc.constantFrom(Buffer.alloc(0), u32(3), Buffer.concat([u32(3), go]));
    await fc.assert(
      fc.asyncProperty(start, junk, fc.array(fc.nat(64), { maxLength: 6 }), async (head, tail, pieces) => {
        await feed(Buffer.concat([head, tail]), pieces);
      }),
      { seed: 1, numRuns: runs },
    );
  });

  test("survives options and requests with lying lengths, cut anywhere", async () => {
    let reached = 0;
    const options = fc.oneof(
      { weight: 3, arbitrary: fc.constant([]) },
      fc.array(fc.oneof(option, contextQuery), { maxLength: 5 }),
    );
    const stream = fc.tuple(options, fc.array(request, { maxLength: 8 }), fc.oneof(fc.constant(1e9), fc.nat(2000)));
    await fc.assert(
      fc.asyncProperty(stream, fc.array(fc.nat(64), { maxLength: 6 }), async ([options, requests, cut], pieces) => {
        reached += await feed(Buffer.concat([u32(3), ...options, go, ...requests]).subarray(0, cut), pieces);
      }),
      { seed: 2, numRuns: runs },
    );
    // Most requests are refused by design; were none let through, this would test the handshake alone.
    expect(reached).toBeGreaterThan(runs / 5);
  });
});
