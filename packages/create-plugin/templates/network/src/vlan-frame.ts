import type { VlanSetting } from "@vdc-os/core/network/v1";

/** A frame inside the switch: without a tag, and the VLAN that it is in; 0 is the untagged network. */
export interface VlanFrame {
  readonly vlan: number;
  readonly bytes: Buffer;
}

/** A frame from a VM, in its VLAN; or why it is dropped. */
export function enter(bytes: Buffer, vlan: VlanSetting): VlanFrame | "malformed" | "vlanNotAllowed" {
  if (bytes.length < 14) return "malformed";
  const isTagged = bytes.readUInt16BE(12) === 0x8100;
  if (isTagged && bytes.length < 18) return "malformed";
  if (vlan.kind === "none" && !isTagged) return { vlan: 0, bytes };
  if (vlan.kind === "access" && !isTagged) return { vlan: vlan.id, bytes };
  if (vlan.kind !== "trunk") return "vlanNotAllowed";
  const inside = isTagged ? bytes.readUInt16BE(14) & 0xfff : vlan.native;
  if (inside === undefined || !carries(vlan, inside)) return "vlanNotAllowed";
  return { vlan: inside, bytes: isTagged ? Buffer.concat([bytes.subarray(0, 12), bytes.subarray(16)]) : bytes };
}

/** What a VM gets of a frame: nothing where its port does not carry the VLAN. */
export function leave({ vlan: inside, bytes }: VlanFrame, vlan: VlanSetting): Buffer | undefined {
  if (vlan.kind === "none") return inside === 0 ? bytes : undefined;
  if (vlan.kind === "access") return inside === vlan.id ? bytes : undefined;
  if (vlan.kind !== "trunk" || !carries(vlan, inside)) return undefined;
  if (vlan.native === inside) return bytes;
  const tag = Buffer.from([0x81, 0x00, inside >> 8, inside & 0xff]);
  return Buffer.concat([bytes.subarray(0, 12), tag, bytes.subarray(12)]);
}

function carries(vlan: VlanSetting & { readonly kind: "trunk" }, id: number): boolean {
  return vlan.ranges.some(({ from, to }) => from <= id && id <= to);
}
