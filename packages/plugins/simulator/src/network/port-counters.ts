import { encodeCounter } from "@vdc-os/core";
import type { PortStatistics } from "@vdc-os/core/network/v1";

/** A port's counters. */
export class PortCounters {
  framesIn = 0n;
  bytesIn = 0n;
  framesOut = 0n;
  bytesOut = 0n;
  readonly drops: Map<string, bigint> = new Map();

  drop(reason: string): void {
    this.drops.set(reason, (this.drops.get(reason) ?? 0n) + 1n);
  }

  show(portKey: string): PortStatistics {
    return {
      portKey,
      framesIn: encodeCounter(this.framesIn),
      bytesIn: encodeCounter(this.bytesIn),
      framesOut: encodeCounter(this.framesOut),
      bytesOut: encodeCounter(this.bytesOut),
      drops: Object.fromEntries([...this.drops].map(([reason, count]) => [reason, encodeCounter(count)])),
    };
  }
}
