import type { JsonObject, OwnerStamp } from "@vdc-os/core";
import type { PortGate, PortSetting, PortStatistics, SpecRecord } from "@vdc-os/core/network/v1";

/** A switch as it is kept: in the `external_ids` of its first logical switch. */
export type SwitchRecord = SpecRecord;

/** A port's move to another host: the one under way, or the last one. */
export interface MoveRecord {
  readonly ticket: string;
  readonly sourceHost: string;
  readonly targetHost: string;
  /** The new owner's. */
  readonly generation: number;
  readonly state: "prepared" | "activated" | "completed" | "aborted";
}

/** Counters of attachments that are gone. */
export type CarriedCounters = Pick<PortStatistics, "framesIn" | "bytesIn" | "framesOut" | "bytesOut">;

/** A port as it is kept, in the `external_ids` of its logical port: also after it was disconnected, since the highest generation must not be forgotten. */
export interface PortRecord {
  readonly switchId: string;
  readonly portKey: string;
  readonly portGroup: string;
  readonly host: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  /** Of the owner, or of the last one. */
  readonly generation: number;
  /** Every generation below this is refused. */
  readonly lowest: number;
  /** Counts the attachments: each has a logical port name of its own, which a move keeps. */
  readonly attachment: number;
  readonly connected: boolean;
  readonly gate: PortGate;
  readonly carried: CarriedCounters;
  /** What the host had counted of the logical port before it came there. */
  readonly base?: CarriedCounters;
  readonly owner?: OwnerStamp;
  readonly setting?: PortSetting;
  readonly opaque?: JsonObject;
  readonly move?: MoveRecord;
}

/** Counters of a port that passed nothing. */
export const noCounters: CarriedCounters = { framesIn: "0", bytesIn: "0", framesOut: "0", bytesOut: "0" };

/** What was counted since. Never less than nothing. */
export function countersSince(now: CarriedCounters, base: CarriedCounters): CarriedCounters {
  const since = (one: string, other: string): string =>
    BigInt(one) < BigInt(other) ? "0" : String(BigInt(one) - BigInt(other));
  return {
    framesIn: since(now.framesIn, base.framesIn),
    bytesIn: since(now.bytesIn, base.bytesIn),
    framesOut: since(now.framesOut, base.framesOut),
    bytesOut: since(now.bytesOut, base.bytesOut),
  };
}

/** The sum of two counts of the same port. */
export function addCounters(a: CarriedCounters, b: CarriedCounters): CarriedCounters {
  const sum = (one: string, other: string): string => String(BigInt(one) + BigInt(other));
  return {
    framesIn: sum(a.framesIn, b.framesIn),
    bytesIn: sum(a.bytesIn, b.bytesIn),
    framesOut: sum(a.framesOut, b.framesOut),
    bytesOut: sum(a.bytesOut, b.bytesOut),
  };
}
