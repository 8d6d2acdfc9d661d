import { portNotFound, switchNotFound } from "@vdc-os/core/network/v1";
import type { DesiredState } from "./desired-state.ts";
import type { PortRecord, SwitchRecord } from "./records.ts";

/** A switch of the desired state. Throws `NOT_FOUND`. */
export function findSwitch(state: DesiredState, switchId: string): SwitchRecord {
  const record = state.switches.get(switchId);
  if (record === undefined) throw switchNotFound(switchId);
  return record;
}

/** A port of the desired state, connected or not. Throws `NOT_FOUND`, for its switch as well. */
export function findPort(state: DesiredState, switchId: string, portKey: string): PortRecord {
  findSwitch(state, switchId);
  const record = state.port(switchId, portKey);
  if (record === undefined) throw portNotFound(switchId, portKey);
  return record;
}
