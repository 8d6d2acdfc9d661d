import { isIPv4 } from "node:net";
import type { FilterRule } from "@vdc-os/core/network/v1";
import { addressValue, bitsOf, type FieldMatch, type FieldName, macValue, type Match } from "@vdc-os/openflow";
import { maskedRange } from "./value-ranges.ts";

const ipv4 = 0x0800;
const ipv6 = 0x86dd;
const transports = [
  { protocol: 6, source: "tcpSrc", destination: "tcpDst" },
  { protocol: 17, source: "udpSrc", destination: "udpDst" },
  { protocol: 132, source: "sctpSrc", destination: "sctpDst" },
] as const;

/** The matches that a rule's match comes to: it matches when one of them does. None where nothing can match. */
export function filterMatches({ match }: Pick<FilterRule, "match">): readonly Match[] {
  const base: FieldMatch[] = [];
  if (match.sourceMac !== undefined) base.push({ field: "ethSrc", value: macValue(match.sourceMac) });
  if (match.destinationMac !== undefined) base.push({ field: "ethDst", value: macValue(match.destinationMac) });
  if (match.vlan !== undefined) base.push({ field: "vlanVid", value: BigInt(0x1000 | match.vlan) });
  const prefixes = [match.sourcePrefix, match.destinationPrefix].filter((prefix) => prefix !== undefined);
  const hasPorts = match.sourcePorts !== undefined || match.destinationPorts !== undefined;
  const looksAtIp = prefixes.length > 0 || match.protocol !== undefined || hasPorts;
  if (!looksAtIp) {
    return [match.etherType === undefined ? base : [...base, { field: "ethType", value: BigInt(match.etherType) }]];
  }
  const families = [ipv4, ipv6].filter(
    (family) =>
      (match.etherType === undefined || match.etherType === family) &&
      prefixes.every((prefix) => isIPv4(prefix.split("/")[0] ?? "") === (family === ipv4)),
  );
  return families.flatMap((family) => {
    const fields: FieldMatch[] = [...base, { field: "ethType", value: BigInt(family) }];
    if (match.sourcePrefix !== undefined) fields.push(prefixField(match.sourcePrefix, family, "Src"));
    if (match.destinationPrefix !== undefined) fields.push(prefixField(match.destinationPrefix, family, "Dst"));
    if (!hasPorts) {
      return [match.protocol === undefined ? fields : [...fields, protocolField(match.protocol)]];
    }
    const candidates = transports.filter(({ protocol }) => match.protocol === undefined || match.protocol === protocol);
    return candidates.flatMap(({ protocol, source, destination }) =>
      portFields(source, match.sourcePorts).flatMap((from) =>
        portFields(destination, match.destinationPorts).map((to) => [
          ...fields,
          protocolField(protocol),
          // Fragments behind the first have no ports, which Open vSwitch reads as 0.
          { field: "ipFrag", value: 0n, mask: 2n } as const,
          ...from,
          ...to,
        ]),
      ),
    );
  });
}

function protocolField(protocol: number): FieldMatch {
  return { field: "ipProto", value: BigInt(protocol) };
}

function prefixField(prefix: string, family: number, end: "Src" | "Dst"): FieldMatch {
  const [address = "", length = "0"] = prefix.split("/");
  const field: FieldName = `${family === ipv4 ? "ipv4" : "ipv6"}${end}`;
  const bits = BigInt(bitsOf(field));
  const all = (1n << bits) - 1n;
  const mask = all - ((1n << (bits - BigInt(length))) - 1n);
  return { field, value: addressValue(address) & mask, mask };
}

function portFields(
  field: FieldName,
  ports: { readonly from: number; readonly to: number } | undefined,
): readonly (readonly FieldMatch[])[] {
  if (ports === undefined) return [[]];
  return maskedRange(ports.from, ports.to, 16).map(({ value, mask }) => [
    { field, value: BigInt(value), mask: BigInt(mask) },
  ]);
}
