import { type FencingStrength, VdcError } from "@vdc-os/core";
import { fencedError, type PortSetting } from "@vdc-os/core/network/v1";
import type { PortRecord } from "./records.ts";

/**
 * How surely an old owner of a port is kept out. Its host's data plane drops the port; where that host can't be told, the other hosts'
 * data planes refuse frames from the port's address from there. So a port that may send from other addresses is only detached.
 */
export function fencingOf(setting: PortSetting | undefined): FencingStrength {
  if (setting === undefined) return "enforced";
  return setting.security.forgedTransmits || setting.security.macChanges ? "detach" : "enforced";
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
