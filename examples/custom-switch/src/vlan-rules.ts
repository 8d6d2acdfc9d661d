import type { VlanSetting } from "@vdc-os/core/network/v1";

/** A frame inside the hub: without a tag, and the VLAN that it is in; 0 is the untagged network. */
export interface HubFrame {
  readonly vlan: number;
  readonly bytes: Buffer;
}

/** What becomes of a frame that a VM sends: the frame in its VLAN, or why it is dropped. */
export function enter(bytes: Buffer, vlan: VlanSetting): HubFrame | "malformed" | "vlanNotAllowed" {
  if (bytes.length < 14) return "malformed";
  const tagged = bytes.readUInt16BE(12) === 0x8100;
  if (tagged && bytes.length < 18) return "malformed";
  const id = tagged ? bytes.readUInt16BE(14) & 0xfff : undefined;
  if (vlan.kind === "none" && !tagged) return { vlan: 0, bytes };
  if (vlan.kind === "access" && !tagged) return { vlan: vlan.id, bytes };
  if (vlan.kind !== "trunk") return "vlanNotAllowed";
  const inside = id ?? vlan.native;
  if (inside === undefined || !carries(vlan, inside)) return "vlanNotAllowed";
  return { vlan: inside, bytes: tagged ? Buffer.concat([bytes.subarray(0, 12), bytes.subarray(16)]) : bytes };
}

/** What a VM gets of a frame: nothing where its port does not carry the VLAN. */
export function leave({ vlan: inside, bytes }: HubFrame, vlan: VlanSetting): Buffer | undefined {
  if (vlan.kind === "none") return inside === 0 ? bytes : undefined;
  if (vlan.kind === "access") return inside === vlan.id ? bytes : undefined;
  if (!carries(vlan, inside)) return undefined;
  if (vlan.kind === "trunk" && vlan.native === inside) return bytes;
  const tag = Buffer.from([0x81, 0x00, inside >> 8, inside & 0xff]);
  return Buffer.concat([bytes.subarray(0, 12), tag, bytes.subarray(12)]);
}

function carries(vlan: VlanSetting, id: number): boolean {
  return vlan.kind === "trunk" && vlan.ranges.some(({ from, to }) => from <= id && id <= to);
}
