import type { FrameInFlight } from "./frame-in-flight.ts";
import { formatMac, macOf } from "./mac-address.ts";
import { PacketFields } from "./packet-fields.ts";

/** One flow as it was seen at one port in one direction, for IPFIX. Counts are those of the frames looked at, not scaled by the sampling. */
export interface FlowRecord {
  readonly portKey: string;
  /** `in` is what the VM sends. */
  readonly direction: "in" | "out";
  readonly sourceMac: string;
  readonly destinationMac: string;
  readonly vlan: number;
  readonly etherType: number;
  /** 4 or 6; 0 for what isn't IP, which has none of the following. */
  readonly ipVersion: 0 | 4 | 6;
  /** The addresses' octets, 4 or 16. */
  readonly sourceAddress?: Uint8Array | undefined;
  readonly destinationAddress?: Uint8Array | undefined;
  readonly protocol?: number | undefined;
  /** 0 where the frame has none. */
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
  readonly packets: number;
  /** Octets of Ethernet frames, tags included. */
  readonly octets: number;
  /** On the data plane's clock, plus the table's `epochMs`. */
  readonly startMs: number;
  readonly endMs: number;
  /** Why the flow is told now (IPFIX flowEndReason, RFC 5102 section 5.11.3). */
  readonly endReason: "idleTimeout" | "activeTimeout" | "lackOfResources" | "forcedEnd";
}

export interface FlowTableOptions {
  /** Takes flows that ended, a batch at a time. */
  readonly onRecords: (records: readonly FlowRecord[]) => void;
  /** A flow without frames for so long has ended. */
  readonly idleTimeoutMs: number;
  /** A flow is told at the latest after so long, and then begins anew. */
  readonly activeTimeoutMs: number;
  /** One of so many frames is looked at. */
  readonly samplingRate: number;
  /** How many flows are kept; the oldest is told to make room. Defaults to `16_384`. */
  readonly limit?: number | undefined;
  /** What the clock says, when it is 0, in milliseconds since 1970. Defaults to `0`. */
  readonly epochMs?: number | undefined;
}

/** What the table did. */
export interface FlowStatistics {
  readonly flows: number;
  readonly observed: number;
  readonly exported: number;
  /** Flows that were told early to make room. */
  readonly evicted: number;
}

interface Flow {
  readonly record: Omit<FlowRecord, "packets" | "octets" | "startMs" | "endMs" | "endReason">;
  packets: number;
  octets: number;
  startMs: number;
  endMs: number;
}

const fields = new PacketFields();

/**
 * Accounts frames to flows: ports, MAC and IP addresses, VLAN, protocol and direction. Bounded: a flood of new flows pushes old ones out,
 * which are then told as such and not lost.
 */
export class FlowTable {
  readonly #options: FlowTableOptions;
  readonly #limit: number;
  readonly #flows = new Map<string, Flow>();
  #skipped = 0;
  #observed = 0;
  #exported = 0;
  #evicted = 0;

  constructor(options: FlowTableOptions) {
    this.#options = options;
    this.#limit = options.limit ?? 16_384;
  }

  observe(frame: FrameInFlight, portKey: string, direction: "in" | "out", now: number): void {
    this.#skipped += 1;
    if (this.#skipped < this.#options.samplingRate) return;
    this.#skipped = 0;
    this.#observed += 1;
    fields.read(frame);
    const key = flowKey(frame, portKey, direction);
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      if (this.#flows.size >= this.#limit) this.#evictOldest();
      flow = { record: describe(frame, portKey, direction), packets: 0, octets: 0, startMs: now, endMs: now };
      this.#flows.set(key, flow);
    }
    flow.packets += 1;
    flow.octets += frame.end - frame.start;
    flow.endMs = now;
  }

  /** Tells the flows that have ended or are due. To be called now and then, such as once a second. */
  expire(now: number): void {
    const { idleTimeoutMs, activeTimeoutMs } = this.#options;
    const ended: FlowRecord[] = [];
    for (const [key, flow] of this.#flows) {
      const idle = now - flow.endMs >= idleTimeoutMs;
      if (!idle && now - flow.startMs < activeTimeoutMs) continue;
      this.#flows.delete(key);
      ended.push(finish(flow, idle ? "idleTimeout" : "activeTimeout"));
    }
    this.#tell(ended);
  }

  /** Tells all flows, and forgets them. */
  drain(): void {
    const ended = [...this.#flows.values()].map((flow) => finish(flow, "forcedEnd"));
    this.#flows.clear();
    this.#tell(ended);
  }

  statistics(): FlowStatistics {
    return {
      flows: this.#flows.size,
      observed: this.#observed,
      exported: this.#exported,
      evicted: this.#evicted,
    };
  }

  #evictOldest(): void {
    for (const [key, flow] of this.#flows) {
      this.#flows.delete(key);
      this.#evicted += 1;
      this.#tell([finish(flow, "lackOfResources")]);
      return;
    }
  }

  #tell(records: readonly FlowRecord[]): void {
    if (records.length === 0) return;
    this.#exported += records.length;
    const { epochMs = 0, onRecords } = this.#options;
    onRecords(records.map((each) => ({ ...each, startMs: each.startMs + epochMs, endMs: each.endMs + epochMs })));
  }
}

function flowKey(frame: FrameInFlight, portKey: string, direction: string): string {
  const { fromHigh, fromLow, toHigh, toLow, vlan } = frame;
  const { etherType, version, protocol, sourcePort, destinationPort, source, destination } = fields;
  const link = `${portKey} ${direction} ${fromHigh} ${fromLow} ${toHigh} ${toLow} ${vlan} ${etherType}`;
  if (version === 0) return link;
  const network = version === 4 ? `${source[0]} ${destination[0]}` : `${source.join(" ")} ${destination.join(" ")}`;
  return `${link} ${network} ${protocol} ${sourcePort} ${destinationPort}`;
}

function describe(frame: FrameInFlight, portKey: string, direction: "in" | "out"): Flow["record"] {
  const { etherType, version, protocol, sourcePort, destinationPort, ipOffset } = fields;
  const base = {
    portKey,
    direction,
    sourceMac: formatMac(macOf(frame.fromHigh, frame.fromLow)),
    destinationMac: formatMac(macOf(frame.toHigh, frame.toLow)),
    vlan: frame.vlan,
    etherType,
  };
  if (version === 0) return { ...base, ipVersion: 0 };
  const [from, octets] = version === 4 ? [12, 4] : [8, 16];
  const at = ipOffset + from;
  return {
    ...base,
    ipVersion: version === 4 ? 4 : 6,
    sourceAddress: Uint8Array.from(frame.buffer.subarray(at, at + octets)),
    destinationAddress: Uint8Array.from(frame.buffer.subarray(at + octets, at + 2 * octets)),
    protocol: Math.max(0, protocol),
    sourcePort: Math.max(0, sourcePort),
    destinationPort: Math.max(0, destinationPort),
  };
}

function finish({ record, packets, octets, startMs, endMs }: Flow, endReason: FlowRecord["endReason"]): FlowRecord {
  return { ...record, packets, octets, startMs, endMs, endReason };
}
