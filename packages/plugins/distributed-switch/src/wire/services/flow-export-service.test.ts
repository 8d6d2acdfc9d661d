import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import type { FlowRecord } from "../ipfix/flow-record.ts";
import { IpfixReader } from "../ipfix/ipfix-reader.ts";
import { ManualClock } from "../test/manual-clock.ts";
import { systemClock } from "../wire-clock.ts";
import { type DatagramSender, UdpSender } from "./datagram-sender.ts";
import { FlowExportService, type FlowExportServiceOptions } from "./flow-export-service.ts";

const flow: FlowRecord = {
  ...{ sourceMac: "52:54:00:00:00:01", destinationMac: "52:54:00:00:00:02", vlan: 10, etherType: 0x0806 },
  ...{ portKey: "web-nic0", direction: "in", packets: 1, octets: 60, startMs: 5, endMs: 6, endReason: "idleTimeout" },
};
const setting = { collector: "127.0.0.1", port: 4739, observationDomainId: 7, samplingRate: 1 };

function service(options: Partial<FlowExportServiceOptions> = {}): {
  readonly exports: FlowExportService;
  readonly clock: ManualClock;
  readonly messages: Buffer[];
  readonly asked: (number | "all")[];
} {
  const clock = new ManualClock();
  const messages: Buffer[] = [];
  const asked: (number | "all")[] = [];
  const sender: DatagramSender = {
    send: (parts) => messages.push(Buffer.concat(parts)) > 0,
    failed: 0,
    failure: undefined,
    close: () => Promise.resolve(),
  };
  const exports: FlowExportService = new FlowExportService({
    ...{ setting, sender, clock, unixNow: () => 1_000_000 + clock.now() },
    source: {
      expire: (now) => asked.push(now),
      drain: () => {
        asked.push("all");
        exports.take([flow]);
      },
    },
    ...options,
  });
  return { exports, clock, messages, asked };
}

function flowsOf(messages: readonly Buffer[]): Readonly<Record<string, Buffer>>[] {
  const reader = new IpfixReader();
  return messages.flatMap((message) =>
    reader.read(message).records.flatMap(({ options, values }) => (options ? [] : [values])),
  );
}

describe("FlowExportService", () => {
  it("asks the flow table, sends what it told, and the rest when it stops", () => {
    const { exports, clock, messages, asked } = service();
    exports.take([flow]);
    exports.start();
    exports.start();
    expect(messages).toHaveLength(1);
    clock.advance(1000);
    exports.take([flow, flow]);
    expect(flowsOf(messages)).toHaveLength(0);
    clock.advance(1000);
    expect(flowsOf(messages)).toHaveLength(2);
    exports.stop();
    exports.stop();
    expect(flowsOf(messages)).toHaveLength(3);
    expect(asked).toEqual([1000, 2000, "all"]);
    expect(clock.timers).toBe(0);
    expect(exports.status()).toMatchObject({ running: false, flows: 3, lostFlows: 1, failedMessages: 0 });
  });

  it("waits for no more than a batch", () => {
    const { exports, messages } = service();
    exports.start();
    exports.take(Array.from({ length: 64 }, () => flow));
    const [first, ...rest] = flowsOf(messages);
    expect(rest).toHaveLength(63);
    expect(first?.flowStartMilliseconds?.readBigUInt64BE()).toBe(5n);
    expect(Math.max(...messages.map(({ length }) => length))).toBeLessThanOrEqual(1452);
  });

  it("reaches a collector over UDP", async () => {
    const collector = createSocket("udp4");
    await using stack = new AsyncDisposableStack();
    stack.defer(() => new Promise<void>((resolve) => collector.close(() => resolve())));
    collector.bind(0, "127.0.0.1");
    await once(collector, "listening");
    const sender = new UdpSender();
    stack.defer(() => sender.close());
    const { exports } = service({
      ...{ sender, clock: systemClock, unixNow: () => Date.now() },
      setting: { ...setting, port: collector.address().port },
    });
    const received: Buffer[] = [];
    const done = new Promise<void>((resolve) => {
      collector.on("message", (message) => {
        if (received.push(message) === 2) resolve();
      });
    });
    exports.start();
    exports.stop();
    await done;
    expect(flowsOf(received)).toHaveLength(1);
    expect(exports.status()).toMatchObject({ failedDatagrams: 0 });
  });
});

describe("UdpSender", () => {
  it("refuses what is no address, what is too much, and everything when it is closed", async () => {
    const sender = new UdpSender({ queueBytes: 100 });
    const target = { address: "127.0.0.1", port: 9 };
    expect(sender.send([Buffer.alloc(10)], { ...target, address: "collector.example" })).toBe(false);
    expect(sender.send([Buffer.alloc(101)], target)).toBe(false);
    expect(sender.send([Buffer.alloc(10)], target)).toBe(true);
    await sender.close();
    await sender.close();
    expect(sender.send([Buffer.alloc(10)], target)).toBe(false);
  });
});
