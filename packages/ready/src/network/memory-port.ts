import type { ConnectPort, PortGate, PortSetting, PortStatistics } from "@vdc-os/core/network/v1";
import { MemoryBucket } from "./memory-bucket.ts";
import type { SuiteNic } from "./suite-nic.ts";

/** A frame inside the reference switch: without tag, with its VLAN beside it. */
export interface MemoryFrame {
  readonly bytes: Buffer;
  readonly vlan: number;
}

/** What a port of the reference switch counts. */
export interface MemoryCounters {
  framesIn: number;
  bytesIn: number;
  forwarded: number;
  framesOut: number;
  bytesOut: number;
  readonly drops: Record<string, number>;
}

/** Told of each frame that a port sends or gets. */
export type MemoryTap = (direction: "in" | "out", bytes: Buffer) => void;

/** Counters of a port that passed nothing. */
export function noCount(): MemoryCounters {
  return { framesIn: 0, bytesIn: 0, forwarded: 0, framesOut: 0, bytesOut: 0, drops: {} };
}

/** A port of the reference switch. */
export class MemoryPort {
  readonly request: ConnectPort;
  setting: PortSetting;
  connected = true;
  /** Generations below this are refused. */
  lowest: number;
  gate: PortGate;
  nic: SuiteNic | undefined;
  held: MemoryFrame[] = [];
  count: MemoryCounters = noCount();
  /** Addresses of stations behind the VM. */
  learned: Set<string> = new Set();
  /** Multicast addresses that the VM asked for. */
  groups: Set<string> = new Set();
  readonly taps: Set<MemoryTap> = new Set();
  readonly #buckets = new Map<string, MemoryBucket>();

  constructor(request: ConnectPort, setting: PortSetting) {
    this.request = request;
    this.lowest = request.generation;
    this.gate = request.gate ?? "open";
    this.setting = setting;
  }

  get generation(): number {
    return this.request.generation;
  }

  /** Whether a limit of this name lets so much pass now. */
  withinRate(name: string, perSecond: number, burst: number, amount: number): boolean {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new MemoryBucket(perSecond, burst);
      this.#buckets.set(name, bucket);
    }
    return bucket.take(amount);
  }

  drop(reason: string, count = 1): void {
    if (count > 0) this.count.drops[reason] = (this.count.drops[reason] ?? 0) + count;
  }

  /** Forgets what is held. Returns how many frames that was. */
  discard(): number {
    const discarded = this.held.splice(0).length;
    this.drop("holdDiscarded", discarded);
    return discarded;
  }

  disconnect(): void {
    this.discard();
    this.connected = false;
    this.nic = undefined;
  }

  /** Takes over what is the port's, and not the owner's, from the owner before. */
  inherit(before: MemoryPort): void {
    this.count = before.count;
    this.learned = before.learned;
    this.groups = before.groups;
  }

  statistics(): PortStatistics {
    const { framesIn, bytesIn, forwarded, framesOut, bytesOut, drops } = this.count;
    return {
      portKey: this.request.portKey,
      framesIn: String(framesIn),
      bytesIn: String(bytesIn),
      framesForwarded: String(forwarded),
      framesHeld: String(this.held.length),
      dropsIn: Object.fromEntries(Object.entries(drops).map(([reason, count]) => [reason, String(count)])),
      framesOut: String(framesOut),
      bytesOut: String(bytesOut),
      dropsOut: {},
    };
  }
}
