import { createHash } from "node:crypto";

/** What marks a row as a provider's, which one it is, and what is kept in it. */
export const marks = { provider: "vdc:provider", key: "vdc:key", record: "vdc:record" } as const;

/** A short name for something with a long one. */
export function shortHash(...parts: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 12);
}

/** The logical port of an attachment, and so the `iface-id` of the VM's NIC. */
export function logicalPort(provider: string, port: { switchId: string; portKey: string; attachment: number }): string {
  return `vdc-${shortHash(provider, port.switchId, port.portKey)}-${port.attachment}`;
}

/** A key of a row: ids may hold anything. */
function key(kind: string, switchId: string, ...rest: readonly (string | number)[]): string {
  return [kind, switchId, ...rest].map((part) => encodeURIComponent(part)).join("/");
}

/** Keys of the rows that a provider owns. */
export const keys = {
  segment: (switchId: string, vlan: number): string => key("segment", switchId, vlan),
  /** The network of a trunk's untagged frames, where it has none. */
  lone: (switchId: string, portKey: string): string => key("lone", switchId, portKey),
  port: (switchId: string, portKey: string, attachment: number): string => key("port", switchId, portKey, attachment),
  tagged: (switchId: string, portKey: string, attachment: number, vlan: number): string =>
    key("tagged", switchId, portKey, attachment, vlan),
  dhcp: (switchId: string, group: string): string => key("dhcp", switchId, group),
  balancer: (switchId: string, name: string): string => key("balancer", switchId, name),
  router: (switchId: string, vlan: number): string => key("router", switchId, vlan),
  routerPort: (switchId: string, vlan: number): string => key("router-port", switchId, vlan),
  /** The network's end of a router's port. */
  routerEnd: (switchId: string, vlan: number): string => key("router-end", switchId, vlan),
  /** A rule on the frames of a logical port. */
  rule: (kind: "acl" | "qos", portKey: string, ...rest: readonly (string | number)[]): string =>
    [kind, portKey, ...rest].join("/"),
} as const;

/** Whether a key is of a switch. */
export function isOfSwitch(rowKey: string, switchId: string): boolean {
  const parts = rowKey.split("/");
  // Keys of rules begin with the rule's kind, and go on with the key of the port.
  const at = parts[0] === "acl" || parts[0] === "qos" ? 2 : 1;
  return parts[at] === encodeURIComponent(switchId);
}
