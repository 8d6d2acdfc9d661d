import type { VlanSetting } from "@vdc-os/core/network/v1";

/** Where a frame travels: its VLAN (0 for none, which 802.1Q keeps free), and the primary that a private VLAN's secondary belongs to. */
export interface Segment {
  readonly vlan: number;
  readonly primary?: number;
}

/** The segment of untagged ports. */
const untagged: Segment = { vlan: 0 };

/** The segment that a frame with this tag, or none, comes into through a port; `undefined` when the port does not let it in. */
export function segmentOf(setting: VlanSetting, tag: number | undefined): Segment | undefined {
  switch (setting.kind) {
    case "none":
      return tag === undefined ? untagged : undefined;
    case "access":
      return tag === undefined ? { vlan: setting.id } : undefined;
    case "trunk": {
      const vlan = tag ?? setting.native;
      return vlan !== undefined && carries(setting, vlan) ? { vlan } : undefined;
    }
    case "pvlan":
      if (tag !== undefined) return undefined;
      if (setting.role === "promiscuous") return { vlan: setting.primary };
      return { vlan: setting.secondary, primary: setting.primary };
  }
}

/** How a frame of a segment leaves through a port: with a tag, without one, or not at all. Private VLANs are RFC 5517's. */
export function leavesAs(
  setting: VlanSetting,
  { vlan, primary }: Segment,
): { readonly tag: number | undefined } | undefined {
  const bare = { tag: undefined };
  switch (setting.kind) {
    case "none":
      return vlan === untagged.vlan ? bare : undefined;
    case "access":
      return vlan === setting.id ? bare : undefined;
    case "trunk":
      if (vlan === untagged.vlan || !carries(setting, vlan)) return undefined;
      return { tag: vlan === setting.native ? undefined : vlan };
    case "pvlan":
      if (vlan === setting.primary) return bare;
      if (setting.role === "promiscuous") return primary === setting.primary ? bare : undefined;
      return setting.role === "community" && vlan === setting.secondary ? bare : undefined;
  }
}

/** The addresses of a private VLAN are known in all of it. */
export function addressDomain({ vlan, primary }: Segment): number {
  return primary ?? vlan;
}

/** A trunk carries what it lists, and nothing else: the native VLAN too must be listed. */
function carries(setting: Extract<VlanSetting, { readonly kind: "trunk" }>, vlan: number): boolean {
  return setting.ranges.some(({ from, to }) => vlan >= from && vlan <= to);
}
