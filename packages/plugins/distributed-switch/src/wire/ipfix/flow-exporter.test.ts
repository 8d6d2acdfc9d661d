import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { arp, flow, flow6 } from "../../../test/wire/flows.ts";
import { mangled, wireRuns } from "../test/mangled.ts";
import { WireError } from "../wire-error.ts";
import { FlowExporter, type FlowExporterOptions } from "./flow-exporter.ts";
import { IpfixReader } from "./ipfix-reader.ts";

function exporterWith(options: Partial<FlowExporterOptions> = {}): {
  readonly exporter: FlowExporter;
  readonly sent: Buffer[];
  readonly clock: { now: number };
} {
  const sent: Buffer[] = [];
  const clock = { now: 1_700_000_002_000 };
  const exporter = new FlowExporter({
    observationDomainId: 7,
    now: () => clock.now,
    send: (message) => sent.push(message) > 0,
    ...options,
  });
  return { exporter, sent, clock };
}

function readAll(messages: readonly Buffer[]): ReturnType<IpfixReader["read"]>[] {
  const reader = new IpfixReader();
  return messages.map((message) => reader.read(message));
}

describe("FlowExporter", () => {
  it("sends templates, sampling and the port's name before the first flow", () => {
    const { exporter, sent } = exporterWith({ sampling: { rate: 100 } });
    expect(exporter.export([flow])).toBe(1);
    const [message] = readAll(sent);
    expect(message).toMatchObject({
      exportTimeMs: 1_700_000_002_000,
      sequence: 0,
      observationDomainId: 7,
      templates: [256, 257, 258, 259, 260],
      unknownSets: 0,
    });
    const [sampling, name, record] = message?.records ?? [];
    expect(sampling?.values.samplingPacketSpace?.readUInt32BE()).toBe(99);
    expect([name?.values.interfaceName?.toString(), name?.options]).toEqual(["web-nic0", true]);
    expect(record?.values).toMatchObject({
      sourceMacAddress: Buffer.from("525400000001", "hex"),
      vlanId: Buffer.from([0, 10]),
      sourceIPv4Address: Buffer.from([192, 0, 2, 1]),
      ingressInterface: Buffer.from([0, 0, 0, 1]),
      egressInterface: Buffer.alloc(4),
      flowEndReason: Buffer.from([1]),
    });
    expect(record?.values.octetDeltaCount?.readBigUInt64BE()).toBe(300n - 3n * 14n);
    expect(record?.values.layer2OctetDeltaCount?.readBigUInt64BE()).toBe(300n);
    expect(record?.values.flowStartMilliseconds?.readBigUInt64BE()).toBe(1_700_000_000_123n);
  });

  it("has a template for IPv6 and one for what is not IP, and numbers ports once", () => {
    const { exporter, sent } = exporterWith();
    exporter.export([flow, flow6, arp, { ...flow6, direction: "in" }]);
    const records = readAll(sent).flatMap((message) => message.records.filter(({ options }) => !options));
    expect(records.map(({ templateId }) => templateId)).toEqual([256, 257, 258, 257]);
    expect(records.map(({ values }) => values.egressInterface?.readUInt32BE())).toEqual([0, 2, 0, 0]);
    expect(records.map(({ values }) => values.ingressInterface?.readUInt32BE())).toEqual([1, 0, 1, 2]);
  });

  it("counts records, options included, in the sequence number; templates come again when due, with all names", () => {
    const { exporter, sent, clock } = exporterWith({ refreshMs: 1000 });
    exporter.export([flow]);
    exporter.export([flow, flow]);
    clock.now += 999;
    exporter.export([]);
    clock.now += 1;
    exporter.export([]);
    const messages = readAll(sent);
    expect(messages.map(({ sequence }) => sequence)).toEqual([0, 3, 5]);
    expect(messages.map(({ templates }) => templates.length)).toEqual([5, 0, 5]);
    expect(messages[2]?.records).toHaveLength(2);
  });

  it("keeps messages within the limit and loses no record", () => {
    const { exporter, sent } = exporterWith({ messageBytes: 512 });
    const flows = Array.from({ length: 500 }, (_, index) => ({
      ...flow,
      portKey: `port-${index % 50}`,
      packets: index,
    }));
    exporter.export(flows);
    expect(Math.max(...sent.map(({ length }) => length))).toBeLessThanOrEqual(512);
    const messages = readAll(sent);
    const counts = messages.flatMap(({ records }) => records.flatMap(({ values }) => values.packetDeltaCount ?? []));
    expect(counts.map((count) => Number(count.readBigUInt64BE()))).toEqual(flows.map(({ packets }) => packets));
    let expected = 0;
    for (const { sequence, records } of messages) {
      expect(sequence).toBe(expected);
      expected += records.length;
    }
  });

  it("counts what the sender refuses, and what can't be encoded", () => {
    const { exporter } = exporterWith({ send: () => false });
    const mixed = { ...flow, destinationAddress: flow6.destinationAddress };
    exporter.export([mixed, { ...flow, packets: Number.NaN }, { ...flow, sourceMac: "x" }, flow]);
    expect(exporter.statistics()).toEqual({ messages: 1, flows: 1, failedMessages: 1, refusedFlows: 3 });
    expect(() => exporterWith({ messageBytes: 100 })).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

describe("IpfixReader", () => {
  it("refuses what is malformed with a typed error, in bounded time", () => {
    const { exporter, sent } = exporterWith({ messageBytes: 600 });
    exporter.export([flow, flow6, arp, flow, flow, flow]);
    fc.assert(
      fc.property(fc.array(mangled(sent), { minLength: 1, maxLength: 3 }), (messages) => {
        const reader = new IpfixReader();
        for (const message of messages) {
          // A right length gets it past the first check.
          if (message.length >= 4) message.writeUInt16BE(message.length, 2);
          try {
            expect(reader.read(message).records.length).toBeLessThanOrEqual(message.length);
          } catch (error) {
            expect(error).toBeInstanceOf(WireError);
            expect(error).toMatchObject({ code: "MALFORMED" });
          }
        }
      }),
      wireRuns,
    );
  });
});
