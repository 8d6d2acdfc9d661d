import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { runs } from "../../test/runs.ts";
import { addFlow } from "../messages/flow-mod.ts";
import { meterMod } from "../messages/meter.ts";
import { encodeMessage, messageType } from "./message.ts";
import { MessageSplitter } from "./message-splitter.ts";

test("messages are the same however the stream is cut", () => {
  const flow = { table: 3, priority: 4, match: [{ field: "ethDst", value: 5n }], next: 4 } as const;
  const sent = [
    encodeMessage(messageType.echoRequest, Buffer.from("hello")),
    addFlow(flow, 9n),
    encodeMessage(messageType.barrierRequest),
    meterMod("add", { id: 1, unit: "packets", rate: 10, burst: 10 }),
  ];
  const types = [messageType.echoRequest, messageType.flowMod, messageType.barrierRequest, messageType.meterMod];
  const stream = Buffer.concat(sent);
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length), { maxLength: 8 }), (cuts) => {
      const edges = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const splitter = new MessageSplitter();
      const got = edges.slice(1).flatMap((end, at) => splitter.push(stream.subarray(edges[at], end)));
      expect(got.map(({ type }) => type)).toEqual(types);
      expect(Buffer.concat(got.map(({ body }) => body))).toEqual(Buffer.concat(sent.map((each) => each.subarray(8))));
    }),
    { ...runs, numRuns: Math.min(runs.numRuns, 2_000) },
  );
});

test("the longest message that comes octet by octet is put together once", () => {
  const message = encodeMessage(messageType.echoRequest, Buffer.alloc(65_527, 7));
  const splitter = new MessageSplitter();
  const concat = vi.spyOn(Buffer, "concat");
  const got = Array.from(message, (octet) => splitter.push(Buffer.from([octet]))).flat();
  const calls = concat.mock.calls.length;
  concat.mockRestore();
  // Once for its header, and once for all of it: put together anew with each octet, it would copy 2 GiB.
  expect(calls).toBe(2);
  expect(got.map(({ body }) => body.length)).toEqual([65_527]);
});

test.each([
  ["shorter than its header", "0400000700000000"],
  ["of a version that was not agreed on", "0102000800000000"],
])("a message %s is no OpenFlow", (_, header) => {
  const refused = expect.objectContaining({ code: "OPENFLOW_PROTOCOL" });
  expect(() => new MessageSplitter().push(Buffer.from(header, "hex"))).toThrow(refused);
});
