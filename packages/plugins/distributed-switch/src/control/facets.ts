import { type Json, toVdcError, VdcError } from "@vdc-os/core";
import type { EffectiveSettingFacet, GateFacet, PortSetting } from "@vdc-os/core/network/v1";
import type { PortSettings } from "../dataplane/switch-port.ts";
import type { DesiredState } from "./desired-state.ts";
import { portId } from "./host-config.ts";
import type { HostMember } from "./host-member.ts";
import { hostFailure } from "./member-state.ts";
import { mustOwn } from "./port-ownership.ts";
import type { PortRecord } from "./records.ts";

/** What a facet needs of the switch. */
export interface FacetHost {
  /** Throws `NOT_FOUND`. */
  find(switchId: string, portKey: string): PortRecord;
  member(host: string): HostMember;
  readonly state: DesiredState;
}

/** Gates. A gate is durable before the data plane has it, so it outlives every process. */
export function gateFacet(host: FacetHost): GateFacet {
  return {
    async setGate({ switchId, portKey, gate, generation }, _context) {
      const { host: name } = await host.state.change(() => {
        const record = host.find(switchId, portKey);
        mustOwn(record, generation);
        const value = { ...record, gate };
        return { writes: [{ kind: "port", switchId, portKey, value }], result: record };
      });
      await host.member(name).converge();
    },
    async heldFrames({ switchId, portKey }, _context) {
      const record = host.find(switchId, portKey);
      if (!record.connected) return { frames: 0 };
      return (await ask(host, record, "heldFrames", {})) as { frames: number };
    },
    async releaseHeld({ switchId, portKey, frames, generation }, _context) {
      const record = host.find(switchId, portKey);
      mustOwn(record, generation);
      return (await ask(host, record, "release", { frames, generation })) as { released: number };
    },
    async discardHeld({ switchId, portKey, generation }, _context) {
      const record = host.find(switchId, portKey);
      mustOwn(record, generation);
      return (await ask(host, record, "discard", { generation })) as { discarded: number };
    },
  };
}

/** Reads back what the host's data plane really applies. */
export function effectiveSettingFacet(host: FacetHost): EffectiveSettingFacet {
  return {
    async effectiveSetting({ switchId, portKey }, _context) {
      const record = host.find(switchId, portKey);
      if (!record.connected)
        throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected, so nothing is in force`);
      const { macAddress: _, ...inForce } = (await ask(
        host,
        record,
        "effectiveSetting",
        {},
      )) as unknown as PortSettings;
      return inForce as PortSetting;
    },
  };
}

/** Asks the host of a port about it. */
export async function ask(
  host: FacetHost,
  { switchId, portKey, host: name }: PortRecord,
  method: string,
  params: { readonly [name: string]: Json },
): Promise<Json> {
  try {
    return await host.member(name).request(method, { id: portId(switchId, portKey), ...params });
  } catch (error) {
    // The data plane's own refusal of an old owner goes to the caller as it is.
    if (toVdcError(error).code === "FAILED_PRECONDITION") throw error;
    throw hostFailure(name, error);
  }
}
