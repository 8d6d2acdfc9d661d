import { isIPv4 } from "node:net";
import type { PortSetting } from "@vdc-os/core/network/v1";
import type { DesiredRow, RowMarks } from "./desired-row.ts";
import type { DesiredRowsInput } from "./desired-rows.ts";
import { filterMatch } from "./filter-match.ts";
import { keys, logicalPort, marks } from "./names.ts";
import { homeOf, taggedVlans } from "./port-vlans.ts";
import type { PortRecord } from "./records.ts";

/** Options of {@link portRows}. */
export interface PortRowsOptions {
  readonly port: PortRecord;
  /** Undefined where its group has gone. */
  readonly setting: PortSetting | undefined;
  readonly own: RowMarks;
}

/** A chassis that is none: nobody can claim the port. */
const nobody = "vdc-nobody";

/** The rows of a port: the logical port, one for each VLAN that it tags, and for each of these its rules and its limits. */
export function portRows(
  { provider, chassisOf, record: { spec } }: DesiredRowsInput,
  { port, setting, own }: PortRowsOptions,
): readonly DesiredRow[] {
  const { switchId } = spec;
  const { portKey, attachment, mac, move } = port;
  const name = logicalPort(provider, port);
  const key = keys.port(switchId, portKey, attachment);
  const extra = { [marks.record]: JSON.stringify(port) };
  const isMember = spec.members.some(({ host }) => host === port.host);
  const passes = setting !== undefined && port.connected && isMember && !setting.blocked && port.gate !== "drop";
  const home = setting === undefined ? 0 : homeOf(setting.vlan);
  const parent = {
    key: home === undefined ? keys.lone(switchId, portKey) : keys.segment(switchId, home),
    column: "ports",
  } as const;
  const moving = move?.state === "prepared" ? chassisOf(move.targetHost) : undefined;
  const chassis = chassisOf(port.host);
  const options = {
    "requested-chassis": !port.connected ? nobody : moving === undefined ? chassis : `${chassis},${moving}`,
    // The target says nothing before its VM announces itself, or the move is activated.
    ...(moving === undefined ? {} : { "activation-strategy": "rarp" }),
  };
  const group = spec.portGroups.find((each) => each.key === port.portGroup);
  const dhcp = setting?.dhcp !== undefined && group !== undefined ? [keys.dhcp(switchId, group.key)] : [];
  const addressing = addressingOf(port, setting);
  const rows: DesiredRow[] = [
    {
      table: "Logical_Switch_Port",
      key,
      parent,
      columns: { name, ...addressing, enabled: passes, options, external_ids: own(key, extra) },
      references: { dhcpv4_options: { table: "DHCP_Options", keys: dhcp } },
    },
  ];
  if (setting === undefined) return rows;
  const places = [{ name, parent: parent.key, key }];
  for (const vlan of taggedVlans(setting.vlan)) {
    const taggedKey = keys.tagged(switchId, portKey, attachment, vlan);
    const at = keys.segment(switchId, vlan);
    places.push({ name: `${name}-v${vlan}`, parent: at, key: taggedKey });
    rows.push({
      table: "Logical_Switch_Port",
      key: taggedKey,
      parent: { key: at, column: "ports" },
      columns: {
        name: `${name}-v${vlan}`,
        parent_name: name,
        tag: vlan,
        ...addressingOf({ ...port, mac, addresses: [] }, setting),
        enabled: passes,
        external_ids: own(taggedKey),
      },
    });
  }
  for (const place of places) rows.push(...filterRows(setting, place, own), ...shapingRows(setting, place, own));
  return rows;
}

/** A logical port that rules and limits are for. */
interface Place {
  readonly name: string;
  readonly parent: string;
  readonly key: string;
}

function filterRows({ filters = [] }: PortSetting, { name, parent, key }: Place, own: RowMarks): readonly DesiredRow[] {
  return filters.flatMap((rule, at) =>
    (["in", "out"] as const)
      .filter((direction) => rule.direction === direction || rule.direction === "both")
      .map((direction): DesiredRow => {
        const aclKey = keys.rule("acl", key, at, direction);
        const { action } = rule;
        const verdict =
          action.kind === "drop"
            ? "drop"
            : action.kind === "accept" && action.related === true
              ? "allow-related"
              : "allow";
        return {
          table: "ACL",
          key: aclKey,
          parent: { key: parent, column: "acls" },
          columns: {
            // In the order of the rules; the highest decides.
            priority: 30_000 - at,
            direction: direction === "in" ? "from-lport" : "to-lport",
            match: filterMatch(rule, direction, name),
            action: verdict,
            external_ids: own(aclKey),
          },
        };
      }),
  );
}

function shapingRows(setting: PortSetting, { name, parent, key }: Place, own: RowMarks): readonly DesiredRow[] {
  return (["in", "out"] as const).flatMap((direction): DesiredRow[] => {
    const shaping = direction === "in" ? setting.shapingIn : setting.shapingOut;
    if (shaping === undefined) return [];
    const qosKey = keys.rule("qos", key, direction);
    return [
      {
        table: "QoS",
        key: qosKey,
        parent: { key: parent, column: "qos_rules" },
        columns: {
          priority: 1_000,
          direction: direction === "in" ? "from-lport" : "to-lport",
          match: `${direction === "in" ? "inport" : "outport"} == "${name}"`,
          bandwidth: kilobits(shaping),
          external_ids: own(qosKey),
        },
      },
    ];
  });
}

/** OVN's meters count in kilobits, and have one rate: the average. */
export function kilobits(shaping: { readonly averageBitsPerSecond: number; readonly burstBytes: number }): {
  readonly rate: number;
  readonly burst: number;
} {
  return {
    rate: Math.max(1, Math.round(shaping.averageBitsPerSecond / 1_000)),
    burst: Math.max(1, Math.round((shaping.burstBytes * 8) / 1_000)),
  };
}

function addressingOf(
  { mac, addresses }: Pick<PortRecord, "mac" | "addresses">,
  setting: PortSetting | undefined,
): { readonly addresses: readonly string[]; readonly port_security: readonly string[] } {
  const free = setting?.security.forgedTransmits === true || setting?.security.macChanges === true;
  const needsAddress = setting?.dhcp !== undefined && !addresses.some((address) => isIPv4(address));
  const own = [mac, ...(needsAddress ? ["dynamic"] : addresses)].join(" ");
  return { addresses: free ? [own, "unknown"].sort() : [own], port_security: free ? [] : [mac] };
}
