import type { VlanSetting } from "@vdc-os/core/network/v1";

/** The segment of untagged ports: 802.1Q keeps 0 free of VLANs. */
const untaggedSegment = 0;

/** The segment that a frame with this tag, or none, comes into through a port; `undefined` when the port does not let it in. */
export function segmentOf(setting: VlanSetting, tag: number | undefined): number | undefined {
  switch (setting.kind) {
    case "none":
      return tag === undefined ? untaggedSegment : undefined;
    case "access":
      return tag === undefined ? setting.id : undefined;
    case "trunk":
      if (tag === undefined) {
        return setting.native !== undefined && carries(setting, setting.native) ? setting.native : undefined;
      }
      return carries(setting, tag) ? tag : undefined;
    case "pvlan":
      return undefined;
  }
}

/** How a frame of a segment leaves through a port: with a tag, without one, or not at all. */
export function leavesAs(setting: VlanSetting, segment: number): { readonly tag: number | undefined } | undefined {
  switch (setting.kind) {
    case "none":
      return segment === untaggedSegment ? { tag: undefined } : undefined;
    case "access":
      return segment === setting.id ? { tag: undefined } : undefined;
    case "trunk":
      if (segment === untaggedSegment || !carries(setting, segment)) return undefined;
      return { tag: segment === setting.native ? undefined : segment };
    case "pvlan":
      return undefined;
  }
}

/** A trunk carries what it lists, and nothing else: the native VLAN too must be listed. */
function carries(setting: Extract<VlanSetting, { readonly kind: "trunk" }>, vlan: number): boolean {
  return setting.ranges.some(({ from, to }) => vlan >= from && vlan <= to);
}
