import type { DhcpSetting, FilterRule, MacLearningSetting, PortSetting } from "@vdc-os/core/network/v1";
import type { SecuritySetting, ShapingSetting, TeamingSetting, VlanSetting } from "@vdc-os/core/network/v1";
import {
  dhcpSetting,
  filterRule,
  macLearningSetting,
  securitySetting,
  shapingSetting,
  teamingSetting,
  vlanSetting,
} from "@vdc-os/core/network/v1";
import { schemaOf } from "@vdc-os/core";
import { z } from "zod";

/** Settings that a port group or a port takes over from above where it says nothing. Each is whole: a list of filters replaces the list above. */
export interface PortPolicy {
  readonly vlan?: VlanSetting;
  readonly blocked?: boolean;
  readonly security?: SecuritySetting;
  readonly macLearning?: MacLearningSetting;
  readonly teaming?: TeamingSetting;
  /** What the VM sends. */
  readonly shapingIn?: ShapingSetting;
  /** What the VM gets. */
  readonly shapingOut?: ShapingSetting;
  readonly filters?: readonly FilterRule[];
  readonly dhcp?: DhcpSetting;
}

/** The name of a setting. */
export type PortPolicyName = keyof PortPolicy & keyof PortSetting;

/** Every setting that there is. */
export const portPolicyNames: readonly PortPolicyName[] = [
  "vlan",
  "blocked",
  "security",
  "macLearning",
  "teaming",
  "shapingIn",
  "shapingOut",
  "filters",
  "dhcp",
];

/** Schema of {@link PortPolicy}. A setting that is not known is refused: it would not be in force. */
export const portPolicy: z.ZodType<PortPolicy> = schemaOf<PortPolicy>()(
  z.strictObject({
    vlan: vlanSetting.exactOptional(),
    blocked: z.boolean().exactOptional(),
    security: securitySetting.exactOptional(),
    macLearning: macLearningSetting.exactOptional(),
    teaming: teamingSetting.exactOptional(),
    shapingIn: shapingSetting.exactOptional(),
    shapingOut: shapingSetting.exactOptional(),
    filters: z.array(filterRule).exactOptional(),
    dhcp: dhcpSetting.exactOptional(),
  }),
);
