import { type FencingStrength, VdcError } from "@vdc-os/core";
import type { PortSetting } from "@vdc-os/core/network/v1";
import type { PortRecord } from "./records.ts";

/**
 * How surely an old owner of a port is kept out. Its host's data plane drops the port; where that host can't be told, the other hosts'
 * data planes refuse frames from the port's address from there. So a port that may send from other addresses is only detached.
 */
export function fencingOf(setting: PortSetting | undefined): FencingStrength {
  if (setting === undefined) return "enforced";
  return setting.security.forgedTransmits || setting.security.macChanges ? "detach" : "enforced";
}

/** The failure of an owner that is no longer one. */
export function fencedError(record: PortRecord, generation: number): VdcError {
  return new VdcError(
    "FAILED_PRECONDITION",
    `port '${record.portKey}' of switch '${record.switchId}' has seen generation ${Math.max(record.lowest, record.generation)}, and the call is of ${generation}`,
    { reason: "VDC_FENCED", details: { generation: record.generation, lowest: record.lowest } },
  );
}

/** Fails unless the call comes from the port's present owner. */
export function mustOwn(record: PortRecord, generation: number): void {
  if (record.connected && record.generation === generation) return;
  if (generation < record.lowest || generation < record.generation) throw fencedError(record, generation);
  throw new VdcError(
    "FAILED_PRECONDITION",
    `port '${record.portKey}' of switch '${record.switchId}' is not connected by generation ${generation}`,
    { reason: "VDC_NOT_CONNECTED" },
  );
}

/** The failure of a call on a switch that is not there. */
export function switchNotFound(switchId: string): VdcError {
  return new VdcError("NOT_FOUND", `there is no switch '${switchId}'`);
}
