import { isDeepStrictEqual } from "node:util";
import type { PortStatistics } from "@vdc-os/core/network/v1";
import { must, mustEqual } from "../suite/must.ts";
import type { NetworkTest } from "./network-instance.ts";

/** The counters of one port of the suite's switch. */
export async function statisticsOf(test: NetworkTest, portKey: string): Promise<PortStatistics> {
  const all = await test.provider.portStatistics({ switchId: "certified", portKeys: [portKey] }, test.operation());
  const [only, ...more] = all;
  must(only?.portKey === portKey && more.length === 0, `portStatistics of '${portKey}' must tell that port alone`);
  return only;
}

/** Resolves when the statistics fulfil the condition: counting may come a moment after the frame. */
export async function untilStatistics(
  test: NetworkTest,
  portKey: string,
  condition: (statistics: PortStatistics) => boolean,
): Promise<PortStatistics> {
  const { signal } = test.operation();
  for (;;) {
    const now = await statisticsOf(test, portKey);
    if (condition(now)) return now;
    signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** All of a set of counters together. */
export function countedIn(counters: Readonly<Record<string, string>>): bigint {
  return Object.values(counters).reduce((sum, count) => sum + BigInt(count), 0n);
}

/**
 * The counters of a port that something does not change. Frames of before may be counted a moment later, and then it is done again: what counts itself does
 * so each time.
 */
export async function unchangedBy(
  test: NetworkTest,
  portKey: string,
  act: () => Promise<void>,
): Promise<PortStatistics> {
  for (let left = 5; ; left -= 1) {
    const before = await statisticsOf(test, portKey);
    await act();
    const after = await statisticsOf(test, portKey);
    if (left > 1 && !isDeepStrictEqual(after, before)) continue;
    mustEqual(after, before, `the counters of '${portKey}' after what counts nowhere`);
    return after;
  }
}

/**
 * How many frames a limit may have let pass since a moment of `performance.now()`: what has run in, and a burst. `atLeast` is enough where nothing takes
 * long.
 */
export function allowedSince(begun: number, { perSecond, atLeast }: { perSecond: number; atLeast: number }): number {
  return Math.max(atLeast, 20 + (perSecond * (performance.now() - begun)) / 1_000);
}
