import { duplexPair } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AwaitedReply, ReplyParser } from "../src/client/reply-parser.ts";
import { NbdClient } from "../src/index.ts";
import * as wire from "../src/wire/wire-constants.ts";
import { edge, junk, runs, SIZE, u16, u32 } from "./fuzz-bytes.ts";

describe("the client's parser", () => {
  test("writes nothing outside of a read's target and fails only with a code, whatever the server sends", () => {
    const chunk = fc
      .record({
        flags: fc.nat(1),
        type: fc.constantFrom(0, 1, 2, 5, 0x8001, 0x8002, 9),
        cookie: fc.constantFrom(1, 1, 2, 3),
        length: fc.nat(40),
        data: junk,
      })
      .map(({ flags, type, cookie, length, data }) =>
        Buffer.concat([
          u32(wire.STRUCTURED_REPLY_MAGIC),
          u16(flags),
          u16(type),
          u32(0),
          u32(cookie),
          u32(length),
          data.subarray(0, length),
        ]),
      );
    const simple = fc
      .record({ errno: fc.nat(120), cookie: fc.nat(3), data: junk })
      .map(({ errno, cookie, data }) =>
        Buffer.concat([u32(wire.SIMPLE_REPLY_MAGIC), u32(errno), u32(0), u32(cookie), data]),
      );
    const piece = fc.oneof(chunk, simple, junk);
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 6 }),
        fc.boolean(),
        fc.integer({ min: 1, max: 50 }),
        (pieces, structured, size) => {
          const around = Buffer.alloc(96, 7);
          const replies = new Map<number, AwaitedReply>([
            [
              1,
              {
                command: wire.CMD_READ,
                offset: 0,
                length: 32,
                target: around.subarray(32, 64),
                received: 0,
                errno: 0,
                text: "",
                status: undefined,
              },
            ],
            [
              2,
              {
                command: wire.CMD_BLOCK_STATUS,
                offset: 0,
                length: 32,
                target: undefined,
                received: 0,
                errno: 0,
                text: "",
                status: undefined,
              },
            ],
          ]);
          const parser = new ReplyParser({
            structured,
            find: (cookie) => replies.get(cookie),
            finish: (cookie) => void replies.delete(cookie),
          });
          const bytes = Buffer.concat(pieces);
          try {
            for (let at = 0; at < bytes.length; at += size) parser.push(bytes.subarray(at, at + size));
          } catch (error) {
            expect(error).toMatchObject({ code: "NBD_PROTOCOL" });
          }
          expect(around.subarray(0, 32).equals(Buffer.alloc(32, 7))).toBe(true);
          expect(around.subarray(64).equals(Buffer.alloc(32, 7))).toBe(true);
        },
      ),
      { seed: 3, numRuns: runs * 10 },
    );
  });

  test("every request of a client is settled, whatever the server answers", async () => {
    const greeting = Buffer.concat([Buffer.from("NBDMAGICIHAVEOPT"), u16(3)]);
    const reply = (option: number, type: number, data: Buffer): Buffer =>
      Buffer.concat([...[0x0003e889, 0x045565a9, option, type, data.length].map(u32), data]);
    const shape = Buffer.concat([u16(wire.INFO_EXPORT), u32(0), u32(SIZE), u16(0x0fff & ~wire.FLAG_READ_ONLY)]);
    const context = (id: number, name: string): Buffer =>
      reply(wire.OPT_SET_META_CONTEXT, wire.REP_META_CONTEXT, Buffer.concat([u32(id), Buffer.from(name)]));
    const handshake = Buffer.concat([
      reply(wire.OPT_STRUCTURED_REPLY, wire.REP_ACK, Buffer.alloc(0)),
      context(1, wire.BASE_ALLOCATION),
      context(2, `${wire.DIRTY_BITMAP_PREFIX}b`),
      reply(wire.OPT_SET_META_CONTEXT, wire.REP_ACK, Buffer.alloc(0)),
      reply(wire.OPT_GO, wire.REP_INFO, shape),
      reply(wire.OPT_GO, wire.REP_ACK, Buffer.alloc(0)),
    ]);
    const offset = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(0, 8, 16, 24) }, edge);
    const payload = fc.oneof(
      fc
        .tuple(offset, fc.nat(40))
        .map(([at, n]) => ({ type: 1, data: Buffer.concat([u32(0), u32(at), Buffer.alloc(n)]) })),
      fc.tuple(offset, edge).map(([at, n]) => ({ type: 2, data: Buffer.concat([u32(0), u32(at), u32(n)]) })),
      fc
        .tuple(fc.nat(3), fc.array(fc.tuple(edge, edge), { maxLength: 4 }))
        .map(([id, runs]) => ({ type: 5, data: Buffer.concat([u32(id), ...runs.flat().map(u32)]) })),
      fc.tuple(edge, fc.nat(20)).map(([errno, text]) => ({
        type: 0x8001,
        data: Buffer.concat([u32(errno), u16(text), Buffer.alloc(10)]),
      })),
      fc.constant({ type: 0, data: Buffer.alloc(0) }),
    );
    const chunk = fc
      .tuple(payload, fc.nat(1), fc.integer({ min: 1, max: 5 }))
      .map(([{ type, data }, last, cookie]) =>
        Buffer.concat([
          u32(wire.STRUCTURED_REPLY_MAGIC),
          u16(last),
          u16(type),
          u32(0),
          u32(cookie),
          u32(data.length),
          data,
        ]),
      );
    const structured = (cookie: number, last: number, type: number, ...words: readonly number[]): Buffer => {
      const head = [u32(wire.STRUCTURED_REPLY_MAGIC), u16(last), u16(type), u32(0), u32(cookie), u32(4 * words.length)];
      return Buffer.concat([...head, ...words.map(u32)]);
    };
    /** Right answers to the requests below, whole or in parts. */
    const right = fc.constantFrom(
      Buffer.concat([structured(1, 0, 1, 0, 16, 1, 2, 3, 4), structured(1, 1, 2, 0, 0, 16)]),
      structured(1, 0, 2, 0, 16, 16),
      structured(1, 1, 1, 0, 0, 1, 2, 3, 4),
      Buffer.concat([structured(2, 0, 5, 1, 32, 3), structured(2, 1, 5, 2, 32, 1)]),
      structured(2, 0, 5, 2, 64, 1),
      structured(2, 1, 5, 1, 16, 0, 64, 3),
      structured(3, 1, 5, 2, 32, 1),
      Buffer.concat([u32(wire.SIMPLE_REPLY_MAGIC), u32(0), u32(0), u32(4)]),
      Buffer.concat([u32(wire.SIMPLE_REPLY_MAGIC), u32(0), u32(0), u32(5)]),
    );
    let answered = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(right, chunk), { maxLength: 12 }), async (chunks) => {
        const [ours, theirs] = duplexPair();
        theirs.on("error", () => {});
        // The client speaks between the greeting and the rest, but what it says does not matter here.
        theirs.once("data", () => theirs.write(handshake));
        theirs.write(greeting);
        const client = await NbdClient.connect(ours, { bitmaps: ["b"] });
        theirs.removeAllListeners("data");
        theirs.resume();
        const around = Buffer.alloc(96, 7);
        const requests = [
          client.read(around.subarray(32, 64), 0),
          client.blockStatus(0, 32),
          client.dirtyExtents("b", 0, 32),
          client.write(Buffer.alloc(8), 0),
          client.resize(SIZE * 2),
        ];
        theirs.end(Buffer.concat(chunks));
        for (const { status, reason } of (await Promise.allSettled(requests)) as PromiseRejectedResult[]) {
          if ((status as string) === "fulfilled") answered++;
          else expect(reason).toMatchObject({ name: "NbdError" });
        }
        expect(around.subarray(0, 32).equals(Buffer.alloc(32, 7))).toBe(true);
        expect(around.subarray(64).equals(Buffer.alloc(32, 7))).toBe(true);
        const resized = await requests[4]?.then(
          () => true,
          () => false,
        );
        expect(client.sizeBytes).toBe(resized ? SIZE * 2 : SIZE);
        await client.close();
      }),
      { seed: 5, numRuns: runs },
    );
    // Were all of them refused, the parser's later parts would not be reached.
    expect(answered).toBeGreaterThan(runs / 10);
  });

  test("a handshake with random bytes fails with a code", async () => {
    const greeting = Buffer.concat([Buffer.from("NBDMAGICIHAVEOPT"), u16(3)]);
    const reply = fc
      .record({
        option: fc.constantFrom(8, 10, 7),
        type: fc.constantFrom(1, 3, 4, 0x8000_0001, 0x8000_0006, 77),
        data: junk,
        lie: fc.option(edge),
      })
      .map(({ option, type, data, lie }) =>
        Buffer.concat([
          u32(wire.OPTION_REPLY_MAGIC_HIGH),
          u32(wire.OPTION_REPLY_MAGIC_LOW),
          u32(option),
          u32(type),
          u32(lie ?? data.length),
          data,
        ]),
      );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(Buffer.alloc(0), greeting),
        fc.array(fc.oneof(reply, junk), { maxLength: 5 }),
        async (head, replies) => {
          const [ours, theirs] = duplexPair();
          theirs.on("error", () => {});
          theirs.resume();
          theirs.end(Buffer.concat([head, ...replies]));
          const client = await NbdClient.connect(ours).catch((error: unknown) => {
            expect(error).toMatchObject({ name: "NbdError" });
            return undefined;
          });
          theirs.destroy();
          await client?.close();
        },
      ),
      { seed: 4, numRuns: runs },
    );
  });
});
