import type { VlanSetting } from "@vdc-os/core/network/v1";

/** Which VLANs a port carries, for people: `10`, `10-20,30 (5 untagged)`, `-`. */
export function vlanText(vlan: VlanSetting): string {
  switch (vlan.kind) {
    case "none":
      return "-";
    case "access":
      return String(vlan.id);
    case "trunk": {
      const ranges = vlan.ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
      const native = vlan.native === undefined ? "" : ` (${vlan.native} untagged)`;
      return `${ranges === "" ? "trunk of none" : ranges}${native}`;
    }
    case "pvlan":
      return `${vlan.primary}/${vlan.secondary} ${vlan.role}`;
  }
}
