import { VdcError } from "@vdc-os/core";
import type { PortSetting } from "@vdc-os/core/network/v1";
import type { PortGroup, PortPolicy } from "../kinds/switch-spec.ts";

/** What holds where nobody says anything: untagged, open, and a VM that keeps to its own address. */
export const defaultPortSetting: PortSetting = {
  vlan: { kind: "none" },
  blocked: false,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
};

/**
 * Merges switch, port group and port into what holds for a port (vSphere's inheritance). Each setting is taken whole from the innermost place that
 * has it. A port may set only what its group lets it: anything else fails with `PERMISSION_DENIED` and names the settings.
 */
export function effectivePortSetting(switchPolicy: PortPolicy, group: PortGroup, port: PortPolicy = {}): PortSetting {
  const refused = Object.keys(port).filter((name) => !group.overrides.includes(name as keyof PortPolicy));
  if (refused.length > 0) {
    throw new VdcError(
      "PERMISSION_DENIED",
      `port group '${group.name}' does not let a port set ${refused.map((name) => `'${name}'`).join(", ")}: add them to its 'overrides', or change the port group`,
      { reason: "VDC_PORT_OVERRIDE_REFUSED" },
    );
  }
  return { ...defaultPortSetting, ...switchPolicy, ...group.policy, ...port };
}
