import type { SwitchSpec, VlanSetting } from "@vdc-os/core/network/v1";
import type { PortRecord } from "./records.ts";

/** The VLAN of a port's untagged frames; 0 is the switch's untagged network, undefined a trunk without a native VLAN. */
export function homeOf(vlan: VlanSetting): number | undefined {
  switch (vlan.kind) {
    case "none":
      return 0;
    case "access":
      return vlan.id;
    case "trunk":
      return vlan.native;
    case "pvlan":
      return undefined;
  }
}

/** The VLANs that a port sends tagged frames of. */
export function taggedVlans(vlan: VlanSetting): readonly number[] {
  if (vlan.kind !== "trunk") return [];
  const all = vlan.ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, at) => from + at));
  return [...new Set(all)].filter((id) => id !== vlan.native).sort((a, b) => a - b);
}

/** The networks of a switch. The untagged one is always there: it holds the switch's record. */
export function segmentsOf(spec: SwitchSpec, ports: readonly PortRecord[]): readonly number[] {
  const settings = [...spec.portGroups.map(({ setting }) => setting), ...ports.flatMap(({ setting }) => setting ?? [])];
  const vlans = settings.flatMap(({ vlan }) => [...taggedVlans(vlan), homeOf(vlan) ?? 0]);
  return [...new Set([0, ...vlans])].sort((a, b) => a - b);
}
