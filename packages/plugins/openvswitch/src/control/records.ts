import type { KeptSwitch as Kept, MovablePortRecord, PortStatistics, SpecRecord } from "@vdc-os/core/network/v1";

/** A switch as it is kept. */
export interface SwitchRecord extends SpecRecord {
  /** Its number among the provider's switches, from 1: what its tunnels' network identifiers come from. */
  readonly number: number;
}

/** What was counted of a port. */
export type PortCounters = Omit<PortStatistics, "portKey" | "framesHeld">;

/** A port as it is kept. Each attachment has an `iface-id` of its own, which a move keeps. */
export interface PortRecord extends MovablePortRecord {
  /** Its number on the switch, from 1: how flows know it. */
  readonly number: number;
  readonly carried: PortCounters;
  readonly base?: PortCounters;
}

/** A switch with its ports. Never changes: a change makes another one. */
export interface KeptSwitch extends Kept<PortRecord, SwitchRecord> {
  /** Higher than that of whatever was before. */
  readonly sequence: number;
}

/** Counters of a port that passed nothing. */
export const noCounters: PortCounters = {
  framesIn: "0",
  bytesIn: "0",
  framesForwarded: "0",
  framesOut: "0",
  bytesOut: "0",
  dropsIn: {},
  dropsOut: {},
};

/** The lowest number from 1 that none of these has. */
export function freeNumber(taken: Iterable<{ readonly number: number }>): number {
  const numbers = new Set([...taken].map(({ number }) => number));
  let free = 1;
  while (numbers.has(free)) free += 1;
  return free;
}
