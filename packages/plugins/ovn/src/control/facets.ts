import { VdcError } from "@vdc-os/core";
import {
  type EffectiveSettingFacet,
  type LoadBalancingFacet,
  settingOf,
  type ShapingSetting,
} from "@vdc-os/core/network/v1";
import { kilobits } from "./port-rows.ts";
import type { KeptSwitch } from "./records.ts";

/** Reads back what OVN was given, in the units that it works with. */
export function effectiveSettingFacet(find: (switchId: string) => KeptSwitch): EffectiveSettingFacet {
  return {
    async effectiveSetting({ switchId, portKey }) {
      const { record, ports } = find(switchId);
      const port = ports.get(portKey);
      const setting = port === undefined ? undefined : settingOf(record.spec, port);
      if (port?.connected !== true || setting === undefined) {
        throw new VdcError("NOT_FOUND", `port '${portKey}' is not connected, so nothing is in force`);
      }
      const { shapingIn, shapingOut, ...rest } = setting;
      return {
        ...rest,
        ...(shapingIn === undefined ? {} : { shapingIn: inKilobits(shapingIn) }),
        ...(shapingOut === undefined ? {} : { shapingOut: inKilobits(shapingOut) }),
      };
    },
  };
}

/** Which load balancers there are. OVN spreads over all backends, and this plugin asks for no checks of them. */
export function loadBalancingFacet(find: (switchId: string) => KeptSwitch): LoadBalancingFacet {
  return {
    async loadBalancers({ switchId }) {
      const { loadBalancers = [] } = find(switchId).record.spec;
      return loadBalancers.map(({ name, address, port, backends }) => ({
        name,
        address,
        port,
        backends: backends.map((backend) => ({ ...backend, online: true })),
      }));
    },
  };
}

function inKilobits(shaping: ShapingSetting): ShapingSetting {
  const { rate, burst } = kilobits(shaping);
  return {
    averageBitsPerSecond: rate * 1_000,
    peakBitsPerSecond: rate * 1_000,
    burstBytes: (burst * 1_000) / 8,
    packetsPerSecond: 0,
  };
}
