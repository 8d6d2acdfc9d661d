import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OvsdbError } from "../ovsdb-error.ts";
import { JsonSplitter } from "./json-splitter.ts";

const runs = process.env.VDC_DEEP ? 20_000 : 300;

const text = fc.oneof(fc.string({ unit: "binary", maxLength: 6 }), fc.constantFrom('"', "\\", '{"', "]}", "\u{1f600}"));
const scalar = fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(null, true, -1e300));
const list = fc.array(fc.oneof(scalar, fc.array(scalar, { maxLength: 3 })), { maxLength: 3 });
/** Without escapes: JSON.parse of Node.js 24.21 takes one key of one escaped character for another. Those of OVSDB are ids and uuids. */
const key = fc.constantFrom("a", "b c", "{", "}]", ":", "[,", "\u00e9", "\u{1f600}", "__proto__", "7");
/** A message: an object with a few members, of a few levels. */
const object = fc.dictionary(key, fc.oneof(scalar, list, fc.dictionary(key, list, { maxKeys: 3 })), { maxKeys: 4 });

function split(splitter: JsonSplitter, chunks: readonly Buffer[]): unknown[] {
  const messages: unknown[] = [];
  for (const chunk of chunks) splitter.push(chunk, (message) => messages.push(message));
  return messages;
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const points = [0, ...at.map((point) => point % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end));
}

function codeOf(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof OvsdbError) return error.code;
    throw error;
  }
}

describe("messages", () => {
  test("any objects come out as they went in, however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(object, { maxLength: 5 }),
        fc.constantFrom("", " ", "\n", "\r\n\t"),
        fc.array(fc.nat(), { maxLength: 12 }),
        (objects, between, points) => {
          const texts = objects.map((each) => JSON.stringify(each));
          const bytes = Buffer.from(texts.join(between) + between);
          const splitter = new JsonSplitter();
          expect(split(splitter, cut(bytes, points)).map((each) => JSON.stringify(each))).toEqual(texts);
          expect(splitter.inMessage).toBe(false);
          expect(splitter.heldBytes).toBe(0);
        },
      ),
      { seed: 7047, numRuns: runs },
    );
  });

  test("braces and quotes in strings are text", () => {
    const text = JSON.stringify({ 'a"}{]': '\\"}', b: ["[[", "\\\\"] });
    const chunks = [...Buffer.from(text + text)].map((byte) => Buffer.from([byte]));
    expect(split(new JsonSplitter(), chunks)).toEqual([JSON.parse(text), JSON.parse(text)]);
  });
});

describe("bad input", () => {
  test("any bytes give messages or a coded error, and never more memory than the limit", () => {
    const good = Buffer.from('{"id":1,"result":[{"a":["set",[1,2]]}],"error":null}');
    const mutated = fc
      .tuple(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }), fc.nat(3))
      .map(([edits, copies]) => {
        const bytes = Buffer.concat(Array.from({ length: copies + 1 }, () => good));
        for (const [at, byte] of edits) bytes[at] = byte;
        return bytes;
      });
    const bytes = fc.oneof(
      mutated,
      fc.uint8Array({ maxLength: 400 }).map((array) => Buffer.from(array)),
      fc
        .array(fc.constantFrom(...'{}[]",:\\ \n01e-truefalsn'), { maxLength: 400 })
        .map((text) => Buffer.from(text.join(""))),
    );
    fc.assert(
      fc.property(bytes, fc.array(fc.nat(), { maxLength: 6 }), (input, points) => {
        const splitter = new JsonSplitter({ maxMessageBytes: 100, maxDepth: 8 });
        const code = codeOf(() => split(splitter, cut(input, points)));
        expect([undefined, "OVSDB_PROTOCOL", "OVSDB_MESSAGE_TOO_LARGE"]).toContain(code);
        expect(splitter.heldBytes).toBeLessThanOrEqual(100);
      }),
      { seed: 7047, numRuns: runs },
    );
  });

  test.each([
    ["a message over the limit, in one chunk", [`{"a":"${"x".repeat(200)}"}`], "OVSDB_MESSAGE_TOO_LARGE"],
    ["one that never ends", Array.from({ length: 50 }, () => '{"a":"xxxxxxxx'), "OVSDB_MESSAGE_TOO_LARGE"],
    ["arrays in arrays in arrays", ['{"a":', "[".repeat(50)], "OVSDB_MESSAGE_TOO_LARGE"],
    ["a bare array", ["[1]"], "OVSDB_PROTOCOL"],
    ["text between messages", ["{} {} x"], "OVSDB_PROTOCOL"],
    ["unbalanced brackets", ['{"a":[}}'], "OVSDB_PROTOCOL"],
    ["what is not JSON", ["{a}"], "OVSDB_PROTOCOL"],
  ])("%s is an error, and so is all that follows", (_, texts, code) => {
    const splitter = new JsonSplitter({ maxMessageBytes: 100, maxDepth: 16 });
    const chunks = texts.map((text) => Buffer.from(text));
    expect(codeOf(() => split(splitter, chunks))).toBe(code);
    expect(codeOf(() => split(splitter, [Buffer.from("{}")]))).toBe(code);
    expect(splitter.heldBytes).toBe(0);
  });

  test("bytes that are not UTF-8 are not silently replaced", () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    expect(codeOf(() => split(new JsonSplitter(), [bytes]))).toBe("OVSDB_PROTOCOL");
  });

  test("a message of exactly the limit passes", () => {
    const text = JSON.stringify({ a: "x".repeat(92) });
    expect(text.length).toBe(100);
    expect(split(new JsonSplitter({ maxMessageBytes: 100 }), [Buffer.from(text)])).toHaveLength(1);
    for (let at = 1; at < 100; at += 1) {
      const splitter = new JsonSplitter({ maxMessageBytes: 100 });
      expect(split(splitter, cut(Buffer.from(text + text), [at, at + 100]))).toHaveLength(2);
    }
  });

  test("a small piece does not keep the large buffer it came in", () => {
    const splitter = new JsonSplitter({ maxMessageBytes: 1 << 20 });
    const large = Buffer.alloc(1 << 20, " ");
    large.write('{"a', large.length - 3);
    split(splitter, [large]);
    expect(splitter.heldBytes).toBeLessThanOrEqual(16 * 1024);
  });
});
