import type { MoveRecord as Move, PortGate, PortRecord as Port, SpecRecord } from "@vdc-os/core/network/v1";
import type { PortCounters } from "../process/process-protocol.ts";

/** A switch as it is kept. */
export interface SwitchRecord extends SpecRecord {
  /** Where its VNIs start. Given out once, and never changed. */
  readonly vniBase: number;
}

/** A port's move to another host: the one under way, or the last one. */
export interface MoveRecord extends Omit<Move, "state"> {
  /** Of the target: it is counted from when the move is prepared, and the port's once it is activated. */
  readonly attachment: number;
  /** The socket, or the tap, of the VM's NIC at the target. */
  readonly path: string;
  readonly tap?: string;
  readonly gate: PortGate;
  /** `switching`: the target is open, and the source not cut off yet. */
  readonly state: Move["state"] | "switching";
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

/** A port as it is kept. */
export interface PortRecord extends Port {
  /** Where the VM monitor listens. */
  readonly path: string;
  /** Instead of that: the tap that the VM monitor opens. */
  readonly tap?: string;
  /** Counters of the attachments before this one. */
  readonly carried: PortCounters;
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
