import { createHash } from "node:crypto";

/** What marks a row of Open vSwitch's database as a provider's, and which one it is. */
export const marks = { provider: "vdc:provider", key: "vdc:key" } as const;

/** A short name for something with a long one: of letters and digits only. */
export function shortHash(length: number, ...parts: readonly (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, length);
}

/** The bridge of a switch. A device's name has 15 characters at most. */
export function bridgeName(provider: string, switchId: string): string {
  return `vdc-${shortHash(11, provider, switchId)}`;
}

/** What a tunnel carries: frames of the switch, or copies of frames for another host's port. */
export type TunnelKind = "frames" | "copies";

/** The tunnel port of a bridge to another host. */
export function tunnelName(provider: string, switchId: string, host: string, kind: TunnelKind): string {
  return `${kind === "frames" ? "vx" : "vm"}${shortHash(12, provider, switchId, host)}`;
}

/** The `iface-id` of the VM's NIC at an attachment. */
export function interfaceId(
  provider: string,
  port: { readonly switchId: string; readonly portKey: string; readonly attachment: number },
): string {
  return `vdc-${shortHash(12, provider, port.switchId, port.portKey)}-${port.attachment}`;
}

/** An id as one segment of a state key. Ids may hold anything and be long; a segment that was hashed begins with `~`. */
export function keySegment(id: string): string {
  return /^[A-Za-z0-9._:@-]{1,100}$/.test(id) ? id : `~${shortHash(40, id)}`;
}
