import { CaptureTap } from "../src/dataplane/capture-tap.ts";
import { LENGTH_PREFIX_BYTES, recordOf } from "../src/dataplane/ethernet-frame.ts";
import { FlowTable } from "../src/dataplane/flow-table.ts";
import { SwitchEngine } from "../src/dataplane/switch-engine.ts";
import type { FrameSink, PortSettings, SwitchPort } from "../src/dataplane/switch-port.ts";

/** What one case costs: processor time per frame, the median of several rounds. */
export interface EngineFigure {
  readonly name: string;
  readonly nanosecondsPerFrame: number;
}

const FRAME_BYTES = 60;

/** A switch with sinks that only count, and as many ports as a case wants. */
export class EngineLoad {
  readonly engine: SwitchEngine;
  readonly ports: SwitchPort[] = [];
  delivered = 0;

  constructor(macLimit?: number) {
    this.engine = new SwitchEngine({
      now: () => performance.now(),
      ...(macLimit === undefined ? {} : { macLimit }),
    });
  }

  add(count: number, settings: (index: number) => Omit<PortSettings, "macAddress">): void {
    const sink: FrameSink = {
      deliver: () => {
        this.delivered += 1;
        return undefined;
      },
      flush: () => undefined,
    };
    for (let at = 0; at < count; at += 1) {
      const index = this.ports.length;
      const macAddress = macText(0x5254_0000_0000 + index);
      const port = this.engine.addPort(`p${index}`, { macAddress, ...settings(index) }, sink);
      port.linkUp = true;
      this.ports.push(port);
    }
  }

  /** Sends one frame of each record, from the port at the same place, `frames` in all, in batches of 32. */
  run(from: readonly SwitchPort[], records: readonly Buffer[], frames: number): void {
    for (let at = 0; at < frames; at += 1) {
      const index = at % records.length;
      const record = records[index] as Buffer;
      this.engine.receiveFromPort(from[index] as SwitchPort, record, LENGTH_PREFIX_BYTES, record.length);
      if (at % 32 === 31) this.engine.flush();
    }
    this.engine.flush();
  }

  /** Processor time per frame of `run`, the median of `rounds` after one that warms up. */
  measure(
    name: string,
    from: readonly SwitchPort[],
    records: readonly Buffer[],
    options: MeasureOptions,
  ): EngineFigure {
    const { frames, rounds } = options;
    this.run(from, records, frames);
    const times: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const before = process.cpuUsage();
      this.run(from, records, frames);
      const { user, system } = process.cpuUsage(before);
      times.push(((user + system) * 1000) / frames);
    }
    times.sort((a, b) => a - b);
    return { name, nanosecondsPerFrame: times[Math.floor(times.length / 2)] ?? 0 };
  }
}

export interface MeasureOptions {
  readonly frames: number;
  readonly rounds: number;
}

export function macText(mac: number): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replace(/(..)(?=.)/g, "$1:");
}

/** A minimal IPv4 UDP frame. */
export function udpRecord(to: number, from: number): Buffer {
  const frame = Buffer.alloc(FRAME_BYTES);
  frame.writeUIntBE(to, 0, 6);
  frame.writeUIntBE(from, 6, 6);
  frame.writeUInt16BE(0x0800, 12);
  frame.set([0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x34, 0, 53, 0, 26], 14);
  return recordOf(frame);
}

/** Unicast between pairs of `count` ports. */
export function unicastBetween(
  count: number,
  settings: (index: number) => Omit<PortSettings, "macAddress">,
  options: MeasureOptions & { readonly name?: string; readonly prepare?: (load: EngineLoad) => void },
): EngineFigure {
  const load = new EngineLoad();
  load.add(count, settings);
  options.prepare?.(load);
  const pairs = Array.from({ length: 1000 }, (_, index) => [index % count, (index + 1) % count] as const);
  const records = pairs.map(([from, to]) => udpRecord(0x5254_0000_0000 + to, 0x5254_0000_0000 + from));
  const from = pairs.map(([index]) => load.ports[index] as SwitchPort);
  return load.measure(options.name ?? `${count} ports`, from, records, options);
}

/** What each feature costs when it is on, at every one of 10 ports. */
export function featureCosts(options: MeasureOptions): EngineFigure[] {
  const vlan = { kind: "access", id: 10 } as const;
  const rules = Array.from({ length: 10 }, (_, index) => ({
    name: `rule ${index}`,
    direction: "in" as const,
    match: { protocol: 17, destinationPorts: { from: 1000 + index, to: 1000 + index } },
    action: { kind: "drop" as const },
  }));
  const shaping = { averageBitsPerSecond: 1e12, peakBitsPerSecond: 1e12, burstBytes: 1e9, packetsPerSecond: 1e9 };
  const security = { forgedTransmits: true };
  const on: readonly (readonly [string, Partial<PortSettings>, ((load: EngineLoad) => void)?])[] = [
    ["nothing", {}],
    ["forged transmits allowed", { security }],
    ["a trunk", { vlan: { kind: "trunk", ranges: [{ from: 1, to: 100 }], native: 10 } }],
    ["a private VLAN", { vlan: { kind: "pvlan", primary: 10, secondary: 11, role: "community" } }],
    ["learning", { security, macLearning: { enabled: true } }],
    ["10 filter rules", { filters: rules }],
    ["shaping in and out", { shapingIn: shaping, shapingOut: shaping }],
    ["multicast snooping", {}, ({ engine }) => (engine.snooping.enabled = true)],
    ["a mirror of every port", {}, mirrorAll],
    ["a capture of every port, full", {}, captureAll],
    ["flow accounting of every frame", {}, ({ engine }) => accountAll(engine, 1)],
    ["flow accounting of 1 in 100", {}, ({ engine }) => accountAll(engine, 100)],
  ];
  return on.map(([name, settings, prepare]) =>
    unicastBetween(10, () => ({ vlan, ...settings }), {
      ...options,
      name,
      ...(prepare === undefined ? {} : { prepare }),
    }),
  );
}

function mirrorAll({ engine, ports }: EngineLoad): void {
  const [target, ...sources] = ports.map(({ key }) => key);
  const destination = { kind: "port", portKey: target ?? "" } as const;
  engine.directory.setMirrors([{ name: "m", sourcePorts: sources, direction: "both", destination }]);
}

function captureAll({ ports }: EngineLoad): void {
  for (const port of ports) port.taps = [new CaptureTap({ snapLength: 96 }, () => performance.now())];
}

function accountAll({ directory }: SwitchEngine, samplingRate: number): void {
  const onRecords = (): void => undefined;
  directory.setFlows(new FlowTable({ samplingRate, idleTimeoutMs: 1e6, activeTimeoutMs: 1e6, onRecords }));
}

/** Unicast to `count` addresses that were learned behind one port, each from the other. */
export function unicastToLearned(count: number, options: MeasureOptions): EngineFigure {
  const load = new EngineLoad(200_000);
  const security = { forgedTransmits: true };
  load.add(2, () => ({
    vlan: { kind: "access", id: 10 },
    security,
    macLearning: { enabled: true, limit: 200_000 },
  }));
  const [a, b] = load.ports as [SwitchPort, SwitchPort];
  const station = (index: number): number => 0x0200_0000_0000 + index * 7919;
  for (let index = 0; index < count; index += 1) {
    const record = udpRecord(0x5254_0000_0000, station(index));
    load.engine.receiveFromPort(b, record, LENGTH_PREFIX_BYTES, record.length);
  }
  load.engine.flush();
  const sample = Math.min(count, 20_000);
  const from: SwitchPort[] = [];
  const records: Buffer[] = [];
  for (let index = 0; index < sample; index += 1) {
    // A stride spreads the sample over the whole table.
    const other = station((index * Math.max(1, Math.floor(count / sample))) % count);
    from.push(a, b);
    records.push(udpRecord(other, 0x5254_0000_0000), udpRecord(0x5254_0000_0000, other));
  }
  // The same number of buffers in every case, so that the processor's caches are no part of the comparison.
  while (records.length < 40_000) {
    const at = records.length % (sample * 2);
    records.push(Buffer.from(records[at] as Buffer));
    from.push(from[at] as SwitchPort);
  }
  return load.measure(`${count} learned`, from, records, options);
}

/** Milliseconds per port to bring up a switch of `ports` ports in `groups` VLANs. */
export function configurationCost(ports: number, groups: number): number {
  const load = new EngineLoad();
  const before = process.cpuUsage();
  load.add(ports, (index) => ({ vlan: { kind: "access", id: 1 + (index % groups) } }));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / ports;
}
