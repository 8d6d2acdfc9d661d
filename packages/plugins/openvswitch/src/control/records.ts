import type { JsonObject, OwnerStamp } from "@vdc-os/core";
import type { PortGate, PortSetting, PortStatistics, SpecRecord } from "@vdc-os/core/network/v1";

/** A switch as it is kept. */
export interface SwitchRecord extends SpecRecord {
  /** Its number among the provider's switches, from 1: what its tunnels' network identifiers come from. */
  readonly number: number;
}

/** A port's move to another host: the one under way, or the last one. */
export interface MoveRecord {
  readonly ticket: string;
  readonly sourceHost: string;
  readonly targetHost: string;
  /** The new owner's. */
  readonly generation: number;
  readonly state: "prepared" | "activated" | "completed" | "aborted";
}

/** What was counted of a port. */
export type PortCounters = Omit<PortStatistics, "portKey" | "framesHeld">;

/** A port as it is kept: also after it was disconnected, since the highest generation must not be forgotten. */
export interface PortRecord {
  readonly switchId: string;
  readonly portKey: string;
  /** Its number on the switch, from 1: how flows know it. */
  readonly number: number;
  readonly portGroup: string;
  readonly host: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  /** Of the owner, or of the last one. */
  readonly generation: number;
  /** Every generation below this is refused. */
  readonly lowest: number;
  /** Counts the attachments: each has an `iface-id` of its own, which a move keeps. */
  readonly attachment: number;
  readonly connected: boolean;
  readonly gate: PortGate;
  /** Of hosts where it is no more. */
  readonly carried: PortCounters;
  /** What the host had counted for the port before it came there. */
  readonly base?: PortCounters;
  readonly owner?: OwnerStamp;
  readonly setting?: PortSetting;
  readonly opaque?: JsonObject;
  readonly move?: MoveRecord;
}

/** A switch with its ports. Never changes: a change makes another one. */
export interface KeptSwitch {
  /** Higher than that of whatever was before. */
  readonly sequence: number;
  readonly record: SwitchRecord;
  readonly ports: ReadonlyMap<string, PortRecord>;
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

const names = ["framesIn", "bytesIn", "framesForwarded", "framesOut", "bytesOut"] as const;

/** What was counted since. Never less than nothing. */
export function countersSince(now: PortCounters, base: PortCounters): PortCounters {
  return combine(now, base, (one, other) => (one < other ? 0n : one - other));
}

/** The sum of two counts of the same port. */
export function addCounters(a: PortCounters, b: PortCounters): PortCounters {
  return combine(a, b, (one, other) => one + other);
}

function combine(a: PortCounters, b: PortCounters, of: (one: bigint, other: bigint) => bigint): PortCounters {
  const each = (one = "0", other = "0"): string => String(of(BigInt(one), BigInt(other)));
  const drops = (direction: "dropsIn" | "dropsOut"): Readonly<Record<string, string>> => {
    const reasons = new Set([...Object.keys(a[direction]), ...Object.keys(b[direction])]);
    return Object.fromEntries([...reasons].map((reason) => [reason, each(a[direction][reason], b[direction][reason])]));
  };
  const sums = Object.fromEntries(names.map((name) => [name, each(a[name], b[name])]));
  return {
    ...(sums as Pick<PortCounters, (typeof names)[number]>),
    dropsIn: drops("dropsIn"),
    dropsOut: drops("dropsOut"),
  };
}
