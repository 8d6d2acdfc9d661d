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
  /** What tells the flow apart, besides its port and direction. */
  readonly key: Int32Array;
  packets: number;
  octets: number;
  startMs: number;
  endMs: number;
  /** Another flow with the same hash. */
  next: Flow | undefined;
}

/** Addresses, VLAN, EtherType and protocol, IP addresses, ports. */
const KEY_WORDS = 16;
const SEED: number = crypto.getRandomValues(new Int32Array(1))[0] ?? 0;

const fields = new PacketFields();

/**
 * Accounts frames to flows: ports, MAC and IP addresses, VLAN, protocol and direction. Bounded: a flood of new flows pushes old ones out,
 * which are then told as such and not lost.
 */
export class FlowTable {
  readonly #options: FlowTableOptions;
  readonly #limit: number;
  /** By hash; the oldest first. */
  readonly #flows = new Map<number, Flow>();
  readonly #key = new Int32Array(KEY_WORDS);
  #size = 0;
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
    const hash = fillKey(this.#key, frame, direction);
    let flow = this.#flows.get(hash);
    while (flow !== undefined && !this.#isFlow(flow, portKey, direction)) flow = flow.next;
    flow ??= this.#begin(hash, frame, portKey, direction, now);
    flow.packets += 1;
    flow.octets += frame.end - frame.start;
    flow.endMs = now;
  }

  /** Tells the flows that have ended or are due. To be called now and then, such as once a second. */
  expire(now: number): void {
    const { idleTimeoutMs, activeTimeoutMs } = this.#options;
    const ended: FlowRecord[] = [];
    for (const [hash, first] of this.#flows) {
      let kept: Flow | undefined;
      for (let flow: Flow | undefined = first; flow !== undefined; ) {
        const { next } = flow as Flow;
        const idle = now - flow.endMs >= idleTimeoutMs;
        if (idle || now - flow.startMs >= activeTimeoutMs) {
          this.#size -= 1;
          ended.push(finish(flow, idle ? "idleTimeout" : "activeTimeout"));
        } else {
          flow.next = kept;
          kept = flow;
        }
        flow = next;
      }
      if (kept === undefined) this.#flows.delete(hash);
      else if (kept !== first) this.#flows.set(hash, kept);
    }
    this.#tell(ended);
  }

  /** Tells all flows, and forgets them. */
  drain(): void {
    const ended: FlowRecord[] = [];
    for (const first of this.#flows.values()) pushAll(ended, first, "forcedEnd");
    this.#flows.clear();
    this.#size = 0;
    this.#tell(ended);
  }

  statistics(): FlowStatistics {
    return {
      flows: this.#size,
      observed: this.#observed,
      exported: this.#exported,
      evicted: this.#evicted,
    };
  }

  #begin(hash: number, frame: FrameInFlight, portKey: string, direction: "in" | "out", now: number): Flow {
    if (this.#size >= this.#limit) this.#evictOldest();
    const flow: Flow = {
      record: describe(frame, portKey, direction),
      key: Int32Array.from(this.#key),
      packets: 0,
      octets: 0,
      startMs: now,
      endMs: now,
      next: this.#flows.get(hash),
    };
    this.#flows.set(hash, flow);
    this.#size += 1;
    return flow;
  }

  #isFlow({ record, key }: Flow, portKey: string, direction: "in" | "out"): boolean {
    for (let word = 0; word < KEY_WORDS; word += 1) if (key[word] !== this.#key[word]) return false;
    return record.portKey === portKey && record.direction === direction;
  }

  #evictOldest(): void {
    for (const [hash, first] of this.#flows) {
      const ended: FlowRecord[] = [];
      pushAll(ended, first, "lackOfResources");
      this.#flows.delete(hash);
      this.#size -= ended.length;
      this.#evicted += ended.length;
      this.#tell(ended);
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

/** Writes what tells a frame's flow apart, and returns its hash. */
function fillKey(key: Int32Array, frame: FrameInFlight, direction: "in" | "out"): number {
  const { version, source, destination } = fields;
  key[0] = (frame.fromHigh << 16) | frame.toHigh;
  key[1] = frame.fromLow;
  key[2] = frame.toLow;
  key[3] = (frame.vlan << 16) | fields.etherType;
  key[4] = version === 0 ? 0 : (version << 16) | (fields.protocol & 0xffff);
  key[5] = fields.sourcePort;
  key[6] = fields.destinationPort;
  // Words of an address that isn't there are left from another frame in the fields.
  const words = version === 6 ? 4 : version === 4 ? 1 : 0;
  for (let word = 0; word < 4; word += 1) {
    key[7 + word] = word < words ? (source[word] as number) : 0;
    key[11 + word] = word < words ? (destination[word] as number) : 0;
  }
  key[15] = direction === "in" ? 1 : 0;
  let hash = SEED;
  for (let word = 0; word < KEY_WORDS; word += 1) {
    hash = Math.imul(hash ^ (key[word] as number), 0x9e37_79b1);
    hash ^= hash >>> 15;
  }
  // A small integer on every machine.
  return hash & 0x3fff_ffff;
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

function pushAll(into: FlowRecord[], first: Flow, endReason: FlowRecord["endReason"]): void {
  for (let flow: Flow | undefined = first; flow !== undefined; flow = flow.next) into.push(finish(flow, endReason));
}

function finish({ record, packets, octets, startMs, endMs }: Flow, endReason: FlowRecord["endReason"]): FlowRecord {
  return { ...record, packets, octets, startMs, endMs, endReason };
}
