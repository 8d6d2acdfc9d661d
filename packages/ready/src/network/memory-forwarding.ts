import type { FilterRule, PortSetting, VlanSetting } from "@vdc-os/core/network/v1";
import type { MemoryFrame, MemoryPort } from "./memory-port.ts";

/** Takes a frame from a port in, or says why not. */
export function admit(port: MemoryPort, bytes: Buffer): MemoryFrame | string {
  const { blocked, security, vlan } = port.setting;
  if (blocked) return "blocked";
  if (!security.forgedTransmits && macAt(bytes, 6) !== port.request.mac) return "forgedTransmit";
  const tag = bytes.readUInt16BE(12) === 0x8100 ? bytes.readUInt16BE(14) & 0xfff : undefined;
  const frame = classify(vlan, bytes, tag);
  if (typeof frame === "string") return frame;
  const filtered = port.setting.filters?.find((rule) => decides(rule, "in", frame));
  return filtered?.action.kind === "drop" ? "filtered" : frame;
}

/** The ports that get a frame which is admitted. `from` is undefined for what an uplink brings. */
export function receivers(
  from: MemoryPort | undefined,
  frame: MemoryFrame,
  ports: readonly MemoryPort[],
  snooping: boolean,
): readonly MemoryPort[] {
  const to = macAt(frame.bytes, 0);
  const reachable = ports.filter(
    (port) => port !== from && reaches(from?.setting.vlan, port.setting.vlan, frame.vlan) && !port.setting.blocked,
  );
  const takers = reachable.filter(
    (port) => port.setting.filters?.find((rule) => decides(rule, "out", frame))?.action.kind !== "drop",
  );
  if (snooping && isJoin(frame.bytes)) return [];
  const members = takers.filter(({ groups }) => groups.has(to));
  if (snooping && members.length > 0) return members;
  if (isGroup(frame.bytes)) return takers;
  return takers.filter((port) => port.setting.security.promiscuous || port.request.mac === to || port.learned.has(to));
}

/** The frame as it leaves by a port. */
export function leaving({ setting }: MemoryPort, { bytes, vlan }: MemoryFrame): Buffer {
  return setting.vlan.kind === "pvlan" || untaggedVlan(setting.vlan) === vlan ? bytes : tagged(bytes, vlan);
}

export function tagged(bytes: Buffer, vlan: number): Buffer {
  const tag = Buffer.alloc(4);
  tag.writeUInt32BE(0x8100_0000 + vlan);
  return Buffer.concat([bytes.subarray(0, 12), tag, bytes.subarray(12)]);
}

export function untagged(bytes: Buffer): MemoryFrame | undefined {
  if (bytes.readUInt16BE(12) !== 0x8100) return undefined;
  return { bytes: Buffer.concat([bytes.subarray(0, 12), bytes.subarray(16)]), vlan: bytes.readUInt16BE(14) & 0xfff };
}

export function macAt(bytes: Buffer, at: number): string {
  return bytes.toString("hex", at, at + 6).replace(/(..)(?=.)/g, "$1:");
}

export function isGroup(bytes: Buffer): boolean {
  return (bytes.readUInt8(0) & 1) === 1;
}

/** Whether a frame is an IGMPv2 membership report. */
export function isJoin(bytes: Buffer): boolean {
  if (bytes.readUInt16BE(12) !== 0x0800 || bytes.readUInt8(23) !== 2) return false;
  return bytes.readUInt8(14 + (bytes.readUInt8(14) & 15) * 4) === 0x16;
}

/** Rules whose action decides; the others let the next one look. */
function decides(rule: FilterRule, direction: "in" | "out", { bytes, vlan }: MemoryFrame): boolean {
  if (rule.direction !== direction && rule.direction !== "both") return false;
  return (rule.action.kind === "accept" || rule.action.kind === "drop") && matches(rule, bytes, vlan);
}

/** Whether a frame, without tag, is what a rule looks for. The reference knows addresses, types and VLANs alone. */
export function matches({ match }: FilterRule, bytes: Buffer, vlan: number): boolean {
  if (match.sourceMac !== undefined && macAt(bytes, 6) !== match.sourceMac) return false;
  if (match.destinationMac !== undefined && macAt(bytes, 0) !== match.destinationMac) return false;
  if (match.etherType !== undefined && bytes.readUInt16BE(12) !== match.etherType) return false;
  return match.vlan === undefined || vlan === match.vlan;
}

function classify(vlan: VlanSetting, bytes: Buffer, tag: number | undefined): MemoryFrame | string {
  if (tag === undefined) {
    const own = untaggedVlan(vlan);
    return own === undefined ? "untaggedOnTrunk" : { bytes, vlan: own };
  }
  if (vlan.kind !== "trunk") return "taggedOnAccess";
  return takesTagged(vlan, tag) ? (untagged(bytes) ?? "malformed") : "vlanNotAllowed";
}

function reaches(from: VlanSetting | undefined, to: VlanSetting, vlan: number): boolean {
  if (from?.kind === "pvlan" && to.kind === "pvlan" && from.primary === to.primary) {
    if (from.role === "promiscuous" || to.role === "promiscuous") return true;
    return from.role === "community" && from.secondary === to.secondary;
  }
  if (to.kind === "pvlan") return from === undefined && to.primary === vlan;
  return untaggedVlan(to) === vlan || takesTagged(to, vlan);
}

/** The VLAN of untagged frames; 0 stands for the switch's untagged network. */
function untaggedVlan(vlan: PortSetting["vlan"]): number | undefined {
  switch (vlan.kind) {
    case "none":
      return 0;
    case "access":
      return vlan.id;
    case "trunk":
      return vlan.native;
    case "pvlan":
      return vlan.primary;
  }
}

function takesTagged(vlan: PortSetting["vlan"], tag: number): boolean {
  return vlan.kind === "trunk" && vlan.ranges.some(({ from, to }) => from <= tag && tag <= to);
}
