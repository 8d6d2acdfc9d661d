import type { Generation, OwnerStamp } from "../../../contract/ownership.ts";
import type { JsonObject } from "../../../schema/json.ts";
import type { PortGate } from "../port.ts";
import type { PortSetting } from "../port-setting.ts";
import type { SpecRecord } from "../spec-record.ts";
import type { Counters } from "./counters.ts";

/**
 * What a provider keeps of a port, durably, for the rules of owners to hold: also after it was disconnected, since the highest generation must not be
 * forgotten. Plain data.
 */
export interface PortRecord {
  readonly switchId: string;
  readonly portKey: string;
  readonly portGroup: string;
  readonly host: string;
  readonly mac: string;
  /** Of the owner, or of the last one. */
  readonly generation: Generation;
  /** Every generation below this is refused. */
  readonly lowest: number;
  /** Counts the attachments. */
  readonly attachment: number;
  readonly connected: boolean;
  readonly gate: PortGate;
  readonly owner?: OwnerStamp;
  readonly setting?: PortSetting;
  readonly opaque?: JsonObject;
}

/** A port's move to another host: the one under way, or the last one. */
export interface MoveRecord {
  readonly ticket: string;
  readonly sourceHost: string;
  readonly targetHost: string;
  /** The new owner's. */
  readonly generation: Generation;
  readonly state: "prepared" | "activated" | "completed" | "aborted";
}

/** A port that {@link PortOwners} and `portMigrationFacet` look after: a move keeps its attachment. */
export interface MovablePortRecord extends PortRecord {
  readonly addresses: readonly string[];
  /** What was counted where it is no more. */
  readonly carried: Counters;
  /** What the host had counted for it before it came there. */
  readonly base?: Counters;
  readonly move?: MoveRecord;
}

/** A switch with its ports, as they are kept. */
export interface KeptSwitch<P extends PortRecord, R extends SpecRecord = SpecRecord> {
  readonly record: R;
  readonly ports: ReadonlyMap<string, P>;
}
