import { isIPv4 } from "node:net";
import type { FilterRule } from "@vdc-os/core/network/v1";

/** A rule's match in OVN's expression language (ovn-sb(5), `Logical_Flow`), for the frames of one logical port. */
export function filterMatch({ match }: FilterRule, direction: "in" | "out", port: string): string {
  const parts = [`${direction === "in" ? "inport" : "outport"} == "${port}"`];
  if (match.sourceMac !== undefined) parts.push(`eth.src == ${match.sourceMac}`);
  if (match.destinationMac !== undefined) parts.push(`eth.dst == ${match.destinationMac}`);
  if (match.etherType !== undefined) parts.push(`eth.type == ${match.etherType}`);
  for (const [field, prefix] of [
    ["src", match.sourcePrefix],
    ["dst", match.destinationPrefix],
  ] as const) {
    if (prefix === undefined) continue;
    const [address = ""] = prefix.split("/");
    parts.push(`${isIPv4(address) ? "ip4" : "ip6"}.${field} == ${networkOf(prefix)}`);
  }
  if (match.protocol !== undefined) parts.push(`ip.proto == ${match.protocol}`);
  for (const [field, ports] of [
    ["src", match.sourcePorts],
    ["dst", match.destinationPorts],
  ] as const) {
    if (ports === undefined) continue;
    const of = (protocol: string): string => `(${ports.from} <= ${protocol}.${field} <= ${ports.to})`;
    parts.push(`(${["tcp", "udp", "sctp"].map((protocol) => `(${protocol} && ${of(protocol)})`).join(" || ")})`);
  }
  return parts.join(" && ");
}

/** OVN refuses a prefix with bits beyond its length. */
function networkOf(prefix: string): string {
  const [address = "", length = "0"] = prefix.split("/");
  if (!isIPv4(address)) return prefix;
  const bits = Number(length);
  const value = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - bits);
  const network = value - (value % size);
  return `${[24, 16, 8, 0].map((shift) => Math.floor(network / 2 ** shift) % 256).join(".")}/${bits}`;
}
