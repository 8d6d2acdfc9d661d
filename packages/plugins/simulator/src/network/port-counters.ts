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
    addTo(this.#dropsIn, reason, 1n);
  }

  /** Counts a frame for the VM that does not reach it. */
  dropOut(reason: string): void {
    addTo(this.#dropsOut, reason, 1n);
  }

  /** Goes on from what another port has counted. Frames that it held went with it. */
  add(counted: PortStatistics): void {
    this.framesIn += BigInt(counted.framesIn);
    this.bytesIn += BigInt(counted.bytesIn);
    this.forwarded += BigInt(counted.framesForwarded);
    this.framesOut += BigInt(counted.framesOut);
    this.bytesOut += BigInt(counted.bytesOut);
    for (const [reason, count] of Object.entries(counted.dropsIn)) addTo(this.#dropsIn, reason, BigInt(count));
    for (const [reason, count] of Object.entries(counted.dropsOut)) addTo(this.#dropsOut, reason, BigInt(count));
    if (counted.framesHeld !== "0") addTo(this.#dropsIn, "holdDiscarded", BigInt(counted.framesHeld));
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

function addTo(counts: Map<string, bigint>, reason: string, count: bigint): void {
  counts.set(reason, (counts.get(reason) ?? 0n) + count);
}

function encoded(counts: ReadonlyMap<string, bigint>): Readonly<Record<string, string>> {
  return Object.fromEntries([...counts].map(([reason, count]) => [reason, encodeCounter(count)]));
}
