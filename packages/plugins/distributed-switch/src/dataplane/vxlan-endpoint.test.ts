import { describe, expect, it } from "vitest";
import { type UdpAddress, VxlanEndpoint } from "./vxlan-endpoint.ts";
import { vxlanHeader } from "./vxlan-header.ts";

const vni = 4096;

interface Received {
  readonly endpoint: VxlanEndpoint;
  readonly payloads: string[];
  readonly sources: Set<string>;
  /** How often a batch ended. */
  batches: number;
}

async function open(batching: boolean): Promise<Received> {
  const payloads: string[] = [];
  const sources = new Set<string>();
  const endpoint = await VxlanEndpoint.open({
    listen: { address: "127.0.0.1", port: 0 },
    batching,
    receiver: (wanted) =>
      wanted !== vni
        ? undefined
        : (_vni, datagram, source) => {
            payloads.push(datagram.toString("latin1", 8));
            sources.add(`${source.address}:${source.port}`);
            return true;
          },
    batchEnd: () => {
      received.batches += 1;
    },
  });
  const received: Received = { endpoint, payloads, sources, batches: 0 };
  return received;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe.each([
  { from: "batching", to: "batching" },
  { from: "batching", to: "Node.js alone" },
  { from: "Node.js alone", to: "batching" },
])("VXLAN endpoints, $from to $to", ({ from, to }) => {
  it("carry datagrams whole, in order, and end each batch", async () => {
    const sender = await open(from === "batching");
    const receiver = await open(to === "batching");
    const target: UdpAddress = receiver.endpoint.listen;
    const frames = Array.from(
      { length: 100 },
      (_, index) => `a frame of number ${index} ${"x".repeat((index * 7) % 50)}`,
    );
    // Memory that is used again: an endpoint must not rely on it after the call.
    const memory = Buffer.alloc(200);
    for (const frame of frames) {
      const octets = memory.write(frame, "latin1");
      expect(sender.endpoint.send(vxlanHeader(vni), memory.subarray(0, octets), target)).toBe(true);
      memory.fill(0);
    }
    await until(() => receiver.payloads.length >= frames.length);
    expect(receiver.payloads).toEqual(frames);
    expect([...receiver.sources]).toEqual([`127.0.0.1:${sender.endpoint.listen.port}`]);
    await until(() => receiver.batches > 0);
    expect(sender.endpoint.statistics()).toMatchObject({ datagramsOut: 100, sendErrors: 0 });
    expect(receiver.endpoint.statistics()).toMatchObject({ datagramsIn: 100 });
    await sender.endpoint.close();
    await receiver.endpoint.close();
  });

  it("count what is nobody's, and send what they have before they close", async () => {
    const sender = await open(from === "batching");
    const receiver = await open(to === "batching");
    const target = receiver.endpoint.listen;
    sender.endpoint.send(vxlanHeader(vni + 1), Buffer.from("of another segment"), target);
    sender.endpoint.send(Buffer.from("short"), Buffer.alloc(0), target);
    sender.endpoint.send(vxlanHeader(vni), Buffer.from("the last of them"), target);
    await sender.endpoint.close();
    await until(() => receiver.payloads.length === 1);
    expect(receiver.endpoint.statistics().drops).toEqual({ malformed: 1, unknownVni: 1, unknownPeer: 0 });
    expect(sender.endpoint.send(vxlanHeader(vni), Buffer.from("one that is too late"), target)).toBe(false);
    await receiver.endpoint.close();
  });
});

describe("VxlanEndpoint", () => {
  it("fails with the system's error where the address is taken", async () => {
    const { endpoint } = await open(true);
    const again = VxlanEndpoint.open({ listen: endpoint.listen, receiver: () => undefined, batchEnd: () => undefined });
    await expect(again).rejects.toMatchObject({ code: "EADDRINUSE" });
    await endpoint.close();
  });
});
