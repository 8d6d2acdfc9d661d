import { isIPv4 } from "node:net";
import type { DhcpSetting, PortSetting, SwitchSpec, VlanSetting } from "@vdc-os/core/network/v1";
import { filterMatch } from "./filter-match.ts";
import { keys, logicalPort, marks, shortHash } from "./names.ts";
import type { PortRecord, SwitchRecord } from "./records.ts";

/** The tables of the northbound database that rows are kept in. */
export type OwnedTable =
  | "Logical_Switch"
  | "Logical_Switch_Port"
  | "ACL"
  | "QoS"
  | "DHCP_Options"
  | "Load_Balancer"
  | "Logical_Router"
  | "Logical_Router_Port";

/** A row that should be there. */
export interface DesiredRow {
  readonly table: OwnedTable;
  /** Names the row among those of the provider. */
  readonly key: string;
  readonly columns: Readonly<Record<string, unknown>>;
  /** The logical switch, or router, that it is part of. */
  readonly parent?: { readonly key: string; readonly column: "ports" | "acls" | "qos_rules" };
  /** Columns that hold other rows of the provider, by their keys. */
  readonly references?: Readonly<Record<string, { readonly table: OwnedTable; readonly keys: readonly string[] }>>;
}

/** What a provider's rows are made from. */
export interface DesiredRowsInput {
  readonly provider: string;
  readonly chassisOf: (host: string) => string;
  readonly record: SwitchRecord;
  readonly ports: readonly PortRecord[];
}

/** A chassis that is none: nobody can claim the port. */
const nobody = "vdc-nobody";

/** Every row that a switch is made of. Pure: a function of what is kept. */
export function desiredRows(input: DesiredRowsInput): readonly DesiredRow[] {
  const { provider, record, ports } = input;
  const { spec } = record;
  const rows: DesiredRow[] = [];
  const own = (key: string, extra: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => ({
    [marks.provider]: provider,
    [marks.key]: key,
    ...extra,
  });
  const balancers = (spec.loadBalancers ?? []).map((balancer): DesiredRow => {
    const key = keys.balancer(spec.switchId, balancer.name);
    const backends = balancer.backends.map(({ address, port }) => `${address}:${port}`).join(",");
    return {
      table: "Load_Balancer",
      key,
      columns: {
        name: `vdc-${balancer.name}`,
        protocol: balancer.protocol,
        vips: { [`${balancer.address}:${balancer.port}`]: backends },
        external_ids: own(key),
      },
    };
  });
  rows.push(...balancers);
  const load_balancer = { table: "Load_Balancer", keys: balancers.map(({ key }) => key) } as const;
  const addSwitch = (key: string, name: string, extra: Readonly<Record<string, string>>, subnet?: string): void => {
    const snooping = spec.multicastSnooping === true ? { mcast_snoop: "true", mcast_querier: "false" } : {};
    const other_config = { ...snooping, ...(subnet === undefined ? {} : { subnet }) };
    const columns = { name, other_config, external_ids: own(key, extra) };
    rows.push({ table: "Logical_Switch", key, columns, references: { load_balancer } });
  };
  for (const vlan of segmentsOf(spec, ports)) {
    const key = keys.segment(spec.switchId, vlan);
    const subnet = spec.portGroups.find(({ setting }) => setting.dhcp !== undefined && homeOf(setting.vlan) === vlan);
    const extra = vlan === 0 ? { [marks.record]: JSON.stringify(record) } : {};
    addSwitch(key, `vdc-${spec.name}-${vlan}`, extra, subnet?.setting.dhcp?.subnet);
  }
  for (const port of ports) {
    const setting = settingOf(spec, port);
    if (setting !== undefined && homeOf(setting.vlan) === undefined) {
      const key = keys.lone(spec.switchId, port.portKey);
      addSwitch(key, `vdc-${spec.name}-${port.portKey}`, {});
    }
    rows.push(...portRows(input, port, setting, own));
  }
  for (const group of spec.portGroups) {
    const { dhcp } = group.setting;
    if (dhcp === undefined) continue;
    const key = keys.dhcp(spec.switchId, group.key);
    const options: Record<string, string> = {
      server_id: dhcp.serverAddress,
      server_mac: dhcp.serverMac,
      lease_time: String(dhcp.leaseSeconds),
      mtu: String(spec.mtu),
      ...(dhcp.router === undefined ? {} : { router: dhcp.router }),
      ...(dhcp.dnsServers.length === 0 ? {} : { dns_server: `{${dhcp.dnsServers.join(", ")}}` }),
    };
    rows.push({ table: "DHCP_Options", key, columns: { cidr: dhcp.subnet, options, external_ids: own(key) } });
  }
  if (balancers.length > 0) rows.push(...routerRows(spec, own));
  return rows;
}

/** The setting that a port should have: its own, or its group's. Undefined when the group is gone. */
export function settingOf(spec: SwitchSpec, port: PortRecord): PortSetting | undefined {
  return port.setting ?? spec.portGroups.find(({ key }) => key === port.portGroup)?.setting;
}

function portRows(
  { provider, chassisOf, record: { spec } }: DesiredRowsInput,
  port: PortRecord,
  setting: PortSetting | undefined,
  own: (key: string, extra?: Readonly<Record<string, string>>) => Readonly<Record<string, string>>,
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

/**
 * A router in each network that has an address for one: what goes to a load balancer's address goes to it, and comes from it to the server. Networks
 * are not joined by it.
 */
function routerRows(
  { switchId, name, portGroups }: SwitchSpec,
  own: (key: string) => Readonly<Record<string, string>>,
): readonly DesiredRow[] {
  const networks = new Map<number, DhcpSetting & { readonly router: string }>();
  for (const { setting } of portGroups) {
    const home = homeOf(setting.vlan);
    const { dhcp } = setting;
    if (home !== undefined && dhcp?.router !== undefined) networks.set(home, { ...dhcp, router: dhcp.router });
  }
  return [...networks].flatMap(([vlan, { subnet, router, serverMac }]): DesiredRow[] => {
    const [key, portKey, endKey] = [
      keys.router(switchId, vlan),
      keys.routerPort(switchId, vlan),
      keys.routerEnd(switchId, vlan),
    ];
    const portName = `vdc-${shortHash(switchId, String(vlan))}-router`;
    const networksOf = [`${router}/${subnet.split("/")[1] ?? "24"}`];
    return [
      { table: "Logical_Router", key, columns: { name: `vdc-${name}-${vlan}`, external_ids: own(key) } },
      {
        table: "Logical_Router_Port",
        key: portKey,
        parent: { key, column: "ports" },
        columns: { name: portName, mac: serverMac, networks: networksOf, external_ids: own(portKey) },
      },
      {
        table: "Logical_Switch_Port",
        key: endKey,
        parent: { key: keys.segment(switchId, vlan), column: "ports" },
        columns: {
          name: `${portName}-end`,
          type: "router",
          addresses: ["router"],
          options: { "router-port": portName },
          external_ids: own(endKey),
        },
      },
    ];
  });
}

interface Place {
  readonly name: string;
  readonly parent: string;
  readonly key: string;
}

type Own = (key: string) => Readonly<Record<string, string>>;

function filterRows({ filters = [] }: PortSetting, { name, parent, key }: Place, own: Own): readonly DesiredRow[] {
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

function shapingRows(setting: PortSetting, { name, parent, key }: Place, own: Own): readonly DesiredRow[] {
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

/** The VLAN of a port's untagged frames; 0 is the switch's untagged network, undefined a trunk without a native VLAN. */
function homeOf(vlan: VlanSetting): number | undefined {
  switch (vlan.kind) {
    case "none":
      return 0;
    case "access":
      return vlan.id;
    case "trunk":
      return vlan.native;
    case "pvlan":
      return undefined;
  }
}

/** The VLANs that a port sends tagged frames of. */
export function taggedVlans(vlan: VlanSetting): readonly number[] {
  if (vlan.kind !== "trunk") return [];
  const all = vlan.ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, at) => from + at));
  return [...new Set(all)].filter((id) => id !== vlan.native).sort((a, b) => a - b);
}

/** The networks of a switch. The untagged one is always there: it holds the switch's record. */
function segmentsOf(spec: SwitchSpec, ports: readonly PortRecord[]): readonly number[] {
  const settings = [...spec.portGroups.map(({ setting }) => setting), ...ports.flatMap(({ setting }) => setting ?? [])];
  const vlans = settings.flatMap(({ vlan }) => [...taggedVlans(vlan), homeOf(vlan) ?? 0]);
  return [...new Set([0, ...vlans])].sort((a, b) => a - b);
}
