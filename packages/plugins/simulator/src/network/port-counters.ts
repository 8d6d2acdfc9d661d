import { encodeCounter } from "@vdc-os/core";
import type { PortStatistics } from "@vdc-os/core/network/v1";

/** A port's counters. */
export class PortCounters {
  framesIn = 0n;
  bytesIn = 0n;
  forwarded = 0n;
  framesOut = 0n;
  bytesOut = 0n;
  readonly #dropsIn: Map<string, bigint> = new Map();
  readonly #dropsOut: Map<string, bigint> = new Map();

  /** Counts a frame from the VM that goes nowhere. */
  dropIn(reason: string): void {
    this.#dropsIn.set(reason, (this.#dropsIn.get(reason) ?? 0n) + 1n);
  }

  /** Counts a frame for the VM that does not reach it. */
  dropOut(reason: string): void {
    this.#dropsOut.set(reason, (this.#dropsOut.get(reason) ?? 0n) + 1n);
  }

  show(portKey: string, held: number): PortStatistics {
    return {
      portKey,
      framesIn: encodeCounter(this.framesIn),
      bytesIn: encodeCounter(this.bytesIn),
      framesForwarded: encodeCounter(this.forwarded),
      framesHeld: encodeCounter(BigInt(held)),
      dropsIn: encoded(this.#dropsIn),
      framesOut: encodeCounter(this.framesOut),
      bytesOut: encodeCounter(this.bytesOut),
      dropsOut: encoded(this.#dropsOut),
    };
  }
}

function encoded(counts: ReadonlyMap<string, bigint>): Readonly<Record<string, string>> {
  return Object.fromEntries([...counts].map(([reason, count]) => [reason, encodeCounter(count)]));
}
