import { VdcError } from "@vdc-os/core";
import { type EffectiveSettingFacet, settingOf, type ShapingSetting } from "@vdc-os/core/network/v1";
import { kilobits } from "../pipeline/switch-flows.ts";
import type { KeptSwitch } from "./records.ts";

/** Reads back what flows and meters were made from, in the units that it works with. */
export function effectiveSettingFacet(find: (switchId: string) => KeptSwitch): EffectiveSettingFacet {
  return {
    async effectiveSetting({ switchId, portKey }) {
      const { record, ports } = find(switchId);
      const port = ports.get(portKey);
      const setting = port === undefined ? undefined : settingOf(record.spec, port);
      if (port?.connected !== true || setting === undefined) {
        throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected, so nothing is in force`);
      }
      const { shapingIn, ...rest } = setting;
      return {
        ...rest,
        ...(shapingIn === undefined ? {} : { shapingIn: inKilobits(shapingIn) }),
      };
    },
  };
}

function inKilobits(shaping: ShapingSetting): ShapingSetting {
  const { rate, burst } = kilobits(shaping);
  return {
    averageBitsPerSecond: rate * 1_000,
    peakBitsPerSecond: rate * 1_000,
    burstBytes: (burst * 1_000) / 8,
    packetsPerSecond: shaping.packetsPerSecond === 0 ? 0 : Math.max(1, Math.round(shaping.packetsPerSecond)),
  };
}
