import { spawnSync } from "node:child_process";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { root } from "../architecture/source-tree.ts";
import { missingPrograms } from "@vdc-os/testing";

/** Reads each input to its end, and tells how each ended: at the end, or by a ValueError. Anything else is a crash. */
const program = `
import io, json, sys
from vdc_plugin import read_message
ends = {"end": 0, "refused": 0, "messages": 0}
for text in json.load(sys.stdin):
    stream = io.BytesIO(bytes.fromhex(text))
    try:
        while read_message(stream) is not None:
            ends["messages"] += 1
        ends["end"] += 1
    except ValueError:
        ends["refused"] += 1
print(json.dumps(ends))
`;

function framed(value: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(value));
  return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]);
}

/** Good messages of which a few bytes are others, or are missing. */
const mutated = fc
  .tuple(
    fc.array(fc.jsonValue(), { minLength: 1, maxLength: 3 }),
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
    fc.nat(40),
  )
  .map(([values, changes, cut]) => {
    const bytes = Buffer.concat(
      values.map((value) => framed({ jsonrpc: "2.0", id: 1, method: "ping", params: [value] })),
    );
    for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
    return bytes.subarray(0, bytes.length - (changes.length === 0 ? 0 : cut));
  });

const missing = missingPrograms(["python3"], "the reader of messages of the example in Python is given no wrong ones");

test.skipIf(missing)("the example's reader in Python takes any bytes: it reads, ends or refuses", () => {
  const numRuns = process.env.VDC_DEEP ? 100_000 : 2_000;
  const anything = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
  const inputs = [
    ...fc.sample(anything, { numRuns, seed: 1 }),
    ...fc.sample(mutated, { numRuns, seed: 2 }),
    Buffer.from("Content-Length: 99999999999999999999\r\n\r\n{}"),
    Buffer.from("Content-Length: -1\r\n\r\n{}"),
    Buffer.from("Content-Length: 2\r\n"),
    Buffer.alloc(100_000, "a"),
    Buffer.from("\r\n\r\n"),
    Buffer.from(`Content-Length: 60000\r\n\r\n${"[".repeat(60_000)}`),
  ];
  const { status, stdout, stderr } = spawnSync("python3", ["-B", "-c", program], {
    cwd: join(root, "examples/python-provider/src"),
    input: JSON.stringify(inputs.map((bytes) => bytes.toString("hex"))),
    encoding: "utf8",
    timeout: 50_000,
    maxBuffer: 1 << 20,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const { end, refused, messages } = JSON.parse(stdout) as Readonly<Record<string, number>>;
  expect((end ?? 0) + (refused ?? 0)).toBe(inputs.length);
  expect(messages).toBeGreaterThan(numRuns / 4);
});
