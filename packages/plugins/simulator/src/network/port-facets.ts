import { VdcError } from "@vdc-os/core";
import type { EffectiveSettingFacet, GateFacet } from "@vdc-os/core/network/v1";
import { fencedError } from "../world/fenced-error.ts";
import type { SwitchFabric } from "./switch-fabric.ts";
import type { SwitchPort } from "./switch-port.ts";

type FindPort = (switchId: string, portKey: string) => { readonly fabric: SwitchFabric; readonly port: SwitchPort };

/** What the port holds back, lets through or drops. */
export function gateFacet(find: FindPort, changed: (fabric: SwitchFabric) => void): GateFacet {
  const owned: (input: {
    readonly switchId: string;
    readonly portKey: string;
    readonly generation: number;
  }) => ReturnType<FindPort> = ({ switchId, portKey, generation }) => {
    const found = find(switchId, portKey);
    const { port } = found;
    if (generation <= port.fencedThrough)
      throw fencedError(`port '${portKey}'`, generation, Math.max(port.newest, port.revoked));
    if (port.binding === undefined) throw new VdcError("FAILED_PRECONDITION", `port '${portKey}' is not connected`);
    return found;
  };
  return {
    async setGate(input) {
      const { fabric, port } = owned(input);
      port.gate = input.gate;
      if (input.gate === "open") for (const frame of port.held.splice(0)) fabric.forward(port, frame);
      if (input.gate === "drop") for (const frame of port.held.splice(0)) port.drop(frame, "holdDiscarded");
      changed(fabric);
    },
    heldFrames: async ({ switchId, portKey }) => ({ frames: find(switchId, portKey).port.held.length }),
    async releaseHeld(input) {
      const { fabric, port } = owned(input);
      const frames = port.held.splice(0, input.frames);
      for (const frame of frames) fabric.forward(port, frame);
      return { released: frames.length };
    },
    async discardHeld(input) {
      const { port } = owned(input);
      const frames = port.held.splice(0);
      for (const frame of frames) port.drop(frame, "holdDiscarded");
      return { discarded: frames.length };
    },
  };
}

/** What is in force for a port. */
export function effectiveSettingFacet(find: FindPort): EffectiveSettingFacet {
  return {
    async effectiveSetting({ switchId, portKey }) {
      const { fabric, port } = find(switchId, portKey);
      const setting = fabric.settingOf(port);
      if (port.binding === undefined || setting === undefined) {
        throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected, so nothing is in force`);
      }
      return setting;
    },
  };
}
