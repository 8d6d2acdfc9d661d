import { type Counter64, decodeCounter } from "@vdc-os/core";
import type { PortStatistics } from "@vdc-os/core/network/v1";

/** How much passes a port, in the time between two looks. Fractions of a frame are told. */
export interface PortRates {
  readonly portKey: string;
  /** From the VM. */
  readonly framesInPerSecond: number;
  readonly bitsInPerSecond: number;
  readonly dropsInPerSecond: number;
  /** To the VM. */
  readonly framesOutPerSecond: number;
  readonly bitsOutPerSecond: number;
  readonly dropsOutPerSecond: number;
}

/**
 * Rates by difference of two readings. A port that the first reading has not is left out: nothing is known of it before. A counter that has gone back,
 * which none should, counts as 0. Pure.
 */
export function portRates(
  before: readonly PortStatistics[],
  after: readonly PortStatistics[],
  elapsedMs: number,
): readonly PortRates[] {
  const earlier = new Map(before.map((port) => [port.portKey, port]));
  const perSecond = (was: bigint, is: bigint): number =>
    is <= was || elapsedMs <= 0 ? 0 : (Number(is - was) * 1000) / elapsedMs;
  return after.flatMap((now) => {
    const then = earlier.get(now.portKey);
    if (then === undefined) return [];
    const rate = (name: "framesIn" | "bytesIn" | "framesOut" | "bytesOut"): number =>
      perSecond(decodeCounter(then[name]), decodeCounter(now[name]));
    return [
      {
        portKey: now.portKey,
        framesInPerSecond: rate("framesIn"),
        bitsInPerSecond: rate("bytesIn") * 8,
        dropsInPerSecond: perSecond(sumOf(then.dropsIn), sumOf(now.dropsIn)),
        framesOutPerSecond: rate("framesOut"),
        bitsOutPerSecond: rate("bytesOut") * 8,
        dropsOutPerSecond: perSecond(sumOf(then.dropsOut), sumOf(now.dropsOut)),
      },
    ];
  });
}

function sumOf(counters: Readonly<Record<string, Counter64>>): bigint {
  return Object.values(counters).reduce((sum, counter) => sum + decodeCounter(counter), 0n);
}
