import type { KeptSwitch as Kept, MovablePortRecord, PortStatistics, SpecRecord } from "@vdc-os/core/network/v1";

/** A switch as it is kept: in the `external_ids` of its first logical switch. */
export type SwitchRecord = SpecRecord;

/** Counters of attachments that are gone. */
export type CarriedCounters = Pick<PortStatistics, "framesIn" | "bytesIn" | "framesOut" | "bytesOut">;

/** A port as it is kept, in the `external_ids` of its logical port. Each attachment has a logical port name of its own, which a move keeps. */
export interface PortRecord extends MovablePortRecord {
  readonly carried: CarriedCounters;
  readonly base?: CarriedCounters;
}

/** A switch with its ports, as they are kept. */
export type KeptSwitch = Kept<PortRecord, SwitchRecord>;

/** Counters of a port that passed nothing. */
export const noCounters: CarriedCounters = { framesIn: "0", bytesIn: "0", framesOut: "0", bytesOut: "0" };
