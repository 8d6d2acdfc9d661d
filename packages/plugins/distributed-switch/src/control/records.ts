import type { JsonObject, OwnerStamp } from "@vdc-os/core";
import type { PortGate, PortSetting, SpecRecord } from "@vdc-os/core/network/v1";
import type { PortCounters } from "../process/process-protocol.ts";

/** A switch as it is kept. */
export interface SwitchRecord extends SpecRecord {
  /** Where its VNIs start. Given out once, and never changed. */
  readonly vniBase: number;
}

/** A port's move to another host: the one under way, or the last one. */
export interface MoveRecord {
  readonly ticket: string;
  readonly sourceHost: string;
  readonly targetHost: string;
  /** The new owner's. */
  readonly generation: number;
  /** Of the target: it is counted from when the move is prepared, and the port's once it is activated. */
  readonly attachment: number;
  /** The socket, or the tap, of the VM's NIC at the target. */
  readonly path: string;
  readonly tap?: string;
  readonly gate: PortGate;
  /** `switching`: the target is open, and the source not cut off yet. */
  readonly state: "prepared" | "switching" | "activated" | "completed" | "aborted";
}

/** An attachment that was ended, and whose host has not said yet that it is gone. */
export interface PendingCut {
  readonly host: string;
  readonly attachment: number;
  readonly generation: number;
  readonly mac: string;
  /** Its host lets nothing out that the owner sends: others need not refuse it, and take what was under way, unless that host can't be told the rest. */
  readonly held?: boolean;
}

/** A port as it is kept: also after it was disconnected, since the highest generation must not be forgotten. */
export interface PortRecord {
  readonly switchId: string;
  readonly portKey: string;
  readonly portGroup: string;
  readonly host: string;
  readonly mac: string;
  /** Of the owner, or of the last one. */
  readonly generation: number;
  /** Every generation below this is refused. */
  readonly lowest: number;
  /** Counts the attachments. */
  readonly attachment: number;
  readonly connected: boolean;
  readonly gate: PortGate;
  /** Where the VM monitor listens. */
  readonly path: string;
  /** Instead of that: the tap that the VM monitor opens. */
  readonly tap?: string;
  readonly owner?: OwnerStamp;
  readonly setting?: PortSetting;
  /** Counters of the attachments before this one. */
  readonly carried: PortCounters;
  /** The vendor's own data. */
  readonly opaque?: JsonObject;
  readonly cuts: readonly PendingCut[];
  readonly move?: MoveRecord;
}

/** A host that has a switch process, or is about to. */
export interface HostRecord {
  readonly host: string;
  readonly address: string;
  readonly directory: string;
  /** The UDP port of its tunnel endpoint; absent until the process has told it. */
  readonly port?: number;
}
