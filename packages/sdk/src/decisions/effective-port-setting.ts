import { VdcError } from "@vdc-os/core";
import type { PortSetting } from "@vdc-os/core/network/v1";
import type { PortPolicy, PortPolicyName } from "../kinds/port-policy.ts";
import type { PortGroup } from "../kinds/switch-spec.ts";

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
export function effectivePortSetting(
  switchPolicy: PortPolicy,
  group: Pick<PortGroup, "name" | "policy" | "overrides">,
  port: PortPolicy = {},
): PortSetting {
  const own = said(port);
  const refused = Object.keys(own).filter((name) => !group.overrides.includes(name as PortPolicyName));
  if (refused.length > 0) {
    throw new VdcError(
      "PERMISSION_DENIED",
      `port group '${group.name}' does not let a port set ${refused.map((name) => `'${name}'`).join(", ")}: add them to its 'overrides', or change the port group`,
      { reason: "VDC_PORT_OVERRIDE_REFUSED" },
    );
  }
  return { ...defaultPortSetting, ...said(switchPolicy), ...said(group.policy), ...own };
}

/** What a policy says: a setting that is `undefined` says nothing. */
function said(policy: PortPolicy): PortPolicy {
  return Object.fromEntries(Object.entries(policy).filter(([, value]) => value !== undefined));
}
