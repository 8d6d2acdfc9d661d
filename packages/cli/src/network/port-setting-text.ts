import type { FilterAction, FilterMatch, PortSetting, ShapingSetting } from "@vdc-os/core/network/v1";
import { vlanText } from "../render/vlan-text.ts";
import { formatBitRate } from "../terminal/bit-rate.ts";
import { formatByteSize } from "../terminal/byte-size.ts";
import { printable } from "../terminal/printable.ts";

type Fact = readonly [name: string, value: string | undefined];

/** What holds at a port, a fact on a line: what is not set is left out. */
export function portSettingFacts(setting: PortSetting): readonly Fact[] {
  const { vlan, blocked, security, macLearning, teaming, shapingIn, shapingOut, filters = [], dhcp } = setting;
  const allowed = [
    ...(security.promiscuous ? ["promiscuous"] : []),
    ...(security.forgedTransmits ? ["forged transmits"] : []),
    ...(security.macChanges ? ["MAC changes"] : []),
  ];
  return [
    ["vlan", vlanText(vlan)],
    ["blocked", blocked ? "yes: nothing passes" : undefined],
    ["accepts", allowed.length === 0 ? "its own address alone" : allowed.join(", ")],
    [
      "mac learning",
      macLearning?.enabled === true
        ? `${macLearning.limit} stations; more are ${macLearning.whenFull === "drop" ? "dropped" : "flooded"}`
        : undefined,
    ],
    [
      "teaming",
      teaming &&
        `${teaming.policy}: ${teaming.active.join(", ") || "none"}${teaming.standby.length === 0 ? "" : `; standby ${teaming.standby.join(", ")}`}`,
    ],
    ["may send", shapingText(shapingIn)],
    ["may get", shapingText(shapingOut)],
    ["dhcp", dhcp && `${dhcp.subnet}, by ${dhcp.serverAddress}`],
    ...filters.map(({ name, direction, match, action }, at): Fact => {
      const way = direction === "both" ? "both ways" : direction === "in" ? "sent" : "got";
      return [`rule ${at + 1}`, printable(`${name}: ${way}, ${matchText(match)}: ${actionText(action)}`)];
    }),
  ];
}

function shapingText(shaping: ShapingSetting | undefined): string | undefined {
  if (shaping === undefined) return undefined;
  const { averageBitsPerSecond, peakBitsPerSecond, burstBytes, packetsPerSecond } = shaping;
  return [
    formatBitRate(averageBitsPerSecond),
    ...(peakBitsPerSecond === averageBitsPerSecond ? [] : [`${formatBitRate(peakBitsPerSecond)} at peak`]),
    `bursts of ${formatByteSize(Math.round(burstBytes))}`,
    ...(packetsPerSecond === 0 ? [] : [`${packetsPerSecond} packets/s`]),
  ].join(", ");
}

const protocols: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp" };

function matchText(match: FilterMatch): string {
  const ports = (range: { readonly from: number; readonly to: number } | undefined): string =>
    range === undefined ? "" : `port ${range.from === range.to ? range.from : `${range.from}-${range.to}`}`;
  const end = (preposition: string, address: string | undefined, range: FilterMatch["sourcePorts"]): string[] =>
    address === undefined && range === undefined
      ? []
      : [preposition, address ?? "", ports(range)].filter((word) => word !== "");
  const { etherType, vlan, protocol } = match;
  const said = [
    ...(etherType === undefined ? [] : [`type 0x${etherType.toString(16).padStart(4, "0")}`]),
    ...(vlan === undefined ? [] : [`VLAN ${vlan}`]),
    ...(protocol === undefined ? [] : [protocols[protocol] ?? `IP protocol ${protocol}`]),
    ...end("from", match.sourceMac, undefined),
    ...end("from", match.sourcePrefix, match.sourcePorts),
    ...end("to", match.destinationMac, undefined),
    ...end("to", match.destinationPrefix, match.destinationPorts),
  ];
  return said.length === 0 ? "everything" : said.join(" ");
}

function actionText(action: FilterAction): string {
  switch (action.kind) {
    case "accept":
      return action.related === true ? "accept, and its answers" : "accept";
    case "tag":
      return [
        "tag",
        ...(action.priority === undefined ? [] : [`priority ${action.priority}`]),
        ...(action.dscp === undefined ? [] : [`DSCP ${action.dscp}`]),
      ].join(" ");
    case "rateLimit":
      return `${action.packetsPerSecond} packets/s at most`;
    case "mirror":
      return `copy to session ${action.session}`;
    default:
      return action.kind;
  }
}
