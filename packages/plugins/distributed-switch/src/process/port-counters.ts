import type { SwitchPortStatistics } from "../dataplane/switch-port.ts";
import type { InDropReason, OutDropReason } from "../dataplane/traffic-counters.ts";
import type { PortCounters } from "./process-protocol.ts";

const inReasons: Readonly<Partial<Record<InDropReason, string>>> = {
  taggedOnAccess: "vlanMismatch",
  untaggedOnTrunk: "vlanMismatch",
  vlanNotAllowed: "vlanMismatch",
  unsupportedTag: "vlanMismatch",
  gateDrop: "gate",
  holdFull: "gate",
  holdDiscarded: "gate",
};

const outReasons: Readonly<Partial<Record<OutDropReason, string>>> = {
  blocked: "outBlocked",
  gateDrop: "outGate",
};

/** Counters of a port that passed nothing. */
export const noCounters: PortCounters = { framesIn: "0", bytesIn: "0", framesOut: "0", bytesOut: "0", drops: {} };

/** The data plane's counters in the contract's terms. */
export function portCounters(statistics: SwitchPortStatistics): PortCounters {
  const drops: Record<string, string> = {};
  const count = (reason: string, frames: number): void => {
    drops[reason] = String(BigInt(drops[reason] ?? 0) + BigInt(frames));
  };
  for (const [reason, frames] of Object.entries(statistics.in.drops)) {
    count(inReasons[reason as InDropReason] ?? reason, frames);
  }
  for (const [reason, frames] of Object.entries(statistics.out.drops)) {
    count(outReasons[reason as OutDropReason] ?? reason, frames);
  }
  return {
    framesIn: String(statistics.in.frames),
    bytesIn: String(statistics.in.octets),
    framesOut: String(statistics.out.frames),
    bytesOut: String(statistics.out.octets),
    drops,
  };
}

/** The sum of two counts of the same port. */
export function addCounters(a: PortCounters, b: PortCounters): PortCounters {
  const drops: Record<string, string> = { ...a.drops };
  for (const [reason, frames] of Object.entries(b.drops)) drops[reason] = sum(drops[reason] ?? "0", frames);
  return {
    framesIn: sum(a.framesIn, b.framesIn),
    bytesIn: sum(a.bytesIn, b.bytesIn),
    framesOut: sum(a.framesOut, b.framesOut),
    bytesOut: sum(a.bytesOut, b.bytesOut),
    drops,
  };
}

function sum(a: string, b: string): string {
  return String(BigInt(a) + BigInt(b));
}
