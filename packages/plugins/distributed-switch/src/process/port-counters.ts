import type { SwitchPortStatistics } from "../dataplane/switch-port.ts";
import type { PortCounters } from "./process-protocol.ts";

/** Counters of a port that passed nothing. */
export const noCounters: PortCounters = {
  framesIn: "0",
  bytesIn: "0",
  framesForwarded: "0",
  framesHeld: "0",
  dropsIn: {},
  framesOut: "0",
  bytesOut: "0",
  dropsOut: {},
};

/** The data plane's counters in the contract's terms. */
export function portCounters(statistics: SwitchPortStatistics): PortCounters {
  return {
    framesIn: String(statistics.in.frames),
    bytesIn: String(statistics.in.octets),
    framesForwarded: String(statistics.forwarded),
    framesHeld: String(statistics.held),
    dropsIn: decimal(statistics.in.drops),
    framesOut: String(statistics.out.frames),
    bytesOut: String(statistics.out.octets),
    dropsOut: decimal(statistics.out.drops),
  };
}

/** The sum of two counts of the same port. */
export function addCounters(a: PortCounters, b: PortCounters): PortCounters {
  return {
    framesIn: sum(a.framesIn, b.framesIn),
    bytesIn: sum(a.bytesIn, b.bytesIn),
    framesForwarded: sum(a.framesForwarded, b.framesForwarded),
    framesHeld: sum(a.framesHeld, b.framesHeld),
    dropsIn: sumByReason(a.dropsIn, b.dropsIn),
    framesOut: sum(a.framesOut, b.framesOut),
    bytesOut: sum(a.bytesOut, b.bytesOut),
    dropsOut: sumByReason(a.dropsOut, b.dropsOut),
  };
}

/** What an attachment that is gone has counted: the frames that it held went with it. */
export function finalCounters({ framesHeld, ...counters }: PortCounters): PortCounters {
  if (framesHeld === "0") return { ...counters, framesHeld };
  return { ...counters, framesHeld: "0", dropsIn: sumByReason(counters.dropsIn, { holdDiscarded: framesHeld }) };
}

type ByReason = Readonly<Record<string, string>>;

function decimal(counts: Readonly<Record<string, number>>): ByReason {
  return Object.fromEntries(Object.entries(counts).map(([reason, frames]) => [reason, String(frames)]));
}

function sumByReason(a: ByReason, b: ByReason): ByReason {
  const total: Record<string, string> = { ...a };
  for (const [reason, frames] of Object.entries(b)) total[reason] = sum(total[reason] ?? "0", frames);
  return total;
}

function sum(a: string, b: string): string {
  return String(BigInt(a) + BigInt(b));
}
