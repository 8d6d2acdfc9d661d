import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { BatchedDatagrams } from "./batched-datagrams.ts";
import { udpSystemCalls } from "./udp-system-calls.ts";
import type { UdpAddress } from "./vxlan-endpoint.ts";

const available = udpSystemCalls() !== undefined;
if (!available) {
  if (process.env.CI)
    throw new Error("koffi is not installed, or this isn't 64-bit Linux: batched datagrams can't be tested");
  console.warn("SKIPPED batched datagrams: koffi is not installed, or this isn't 64-bit Linux");
}

const header = Buffer.from("0800000000100000", "hex");
const sockets: Socket[] = [];

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

/** A plain socket of Node.js that keeps what it gets. */
async function listener(): Promise<{ readonly socket: Socket; readonly address: UdpAddress; readonly got: Buffer[] }> {
  const socket = createSocket("udp4");
  sockets.push(socket);
  const got: Buffer[] = [];
  socket.on("message", (datagram) => got.push(datagram));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { socket, address: { address: "127.0.0.1", port: socket.address().port }, got };
}

/** The one under test, watched by a socket of Node.js that leaves its datagrams alone. */
function open(): { readonly batched: BatchedDatagrams; readonly address: UdpAddress; readonly refused: Buffer[] } {
  const refused: Buffer[] = [];
  const batched = BatchedDatagrams.open(
    { address: "127.0.0.1", port: 0 },
    { onRefused: (datagram) => refused.push(Buffer.from(datagram)) },
  );
  if (batched === undefined) throw new Error("a socket on the loopback could not be opened");
  const socket = createSocket("udp4");
  socket.bind({ fd: batched.fd });
  sockets.push(socket);
  return { batched, address: { address: "127.0.0.1", port: socket.address().port }, refused };
}

async function arrived(got: readonly Buffer[], count: number): Promise<void> {
  while (got.length < count) await new Promise((resolve) => setImmediate(resolve));
}

function frameOf(octets: number, index: number): Buffer {
  return Buffer.alloc(octets, index + 1);
}

describe.runIf(available)("BatchedDatagrams", () => {
  it("sends datagrams whole and in order, whatever their lengths", async () => {
    const { batched, refused } = open();
    const { address, got } = await listener();
    const length = fc.oneof(
      fc.constant(1464),
      fc.constantFrom(60, 1463, 1465, 9000),
      fc.integer({ min: 1, max: 1500 }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(length, { minLength: 1, maxLength: 12 }), async (lengths) => {
        got.length = 0;
        const frames = lengths.map(frameOf);
        for (const frame of frames) expect(batched.add(header, frame, address)).toBe(true);
        batched.flush();
        await arrived(got, frames.length);
        expect(got.map((datagram) => datagram.toString("hex"))).toEqual(
          frames.map((frame) => Buffer.concat([header, frame]).toString("hex")),
        );
      }),
      { seed: 5, numRuns: process.env.VDC_DEEP ? 1000 : 60 },
    );
    expect(refused).toEqual([]);
  });

  it("sends to several places, and what was added beyond its memory", async () => {
    const { batched } = open();
    const one = await listener();
    const two = await listener();
    for (let index = 0; index < 200; index++)
      batched.add(header, frameOf(60, 0), index % 2 === 0 ? one.address : two.address);
    batched.flush();
    await arrived(one.got, 100);
    await arrived(two.got, 100);
    for (let index = 0; index < 130; index++) batched.add(header, frameOf(64, 0), one.address);
    batched.flush();
    await arrived(one.got, 230);
  });

  it("receives many with one call, and says where they come from", async () => {
    const { batched, address } = open();
    const { batched: from, address: source } = open();
    for (let index = 0; index < 100; index++) from.add(header, frameOf(100 + index, index), address);
    from.flush();
    const got: string[] = [];
    const take = (datagram: Buffer, sender: UdpAddress): void => {
      expect(sender).toEqual(source);
      got.push(datagram.toString("hex"));
    };
    // The loopback has delivered by the time that sending returns.
    expect(batched.receive(take)).toBe(true);
    expect(got.length).toBe(64);
    expect(batched.receive(take)).toBe(false);
    expect(got).toEqual(
      Array.from({ length: 100 }, (_, index) => Buffer.concat([header, frameOf(100 + index, index)]).toString("hex")),
    );
    expect(batched.receive(take)).toBe(false);
  });

  it("hands back what the kernel refuses, one by one, and goes on", async () => {
    const { batched, refused } = open();
    const { address, got } = await listener();
    // Port 0 is nobody's.
    for (let index = 0; index < 3; index++) batched.add(header, frameOf(60, index), { address: "127.0.0.1", port: 0 });
    batched.add(header, frameOf(61, 9), address);
    batched.flush();
    await arrived(got, 1);
    expect(refused.map(({ length }) => length)).toEqual([68, 68, 68]);
  });

  it("isn't there for IPv6, and where the address is taken", async () => {
    const { address } = await listener();
    const options = { onRefused: () => undefined };
    expect(BatchedDatagrams.open({ address: "::1", port: 0 }, options)).toBeUndefined();
    expect(BatchedDatagrams.open(address, options)).toBeUndefined();
    expect(open().batched.add(header, frameOf(60, 0), { address: "::1", port: 4789 })).toBe(false);
  });
});
