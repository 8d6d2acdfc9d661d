import { settingOf, type SwitchSpec } from "@vdc-os/core/network/v1";
import type { DesiredRow, RowMarks } from "./desired-row.ts";
import { balancerRows, routerRows } from "./load-balancer-rows.ts";
import { keys, marks } from "./names.ts";
import { portRows } from "./port-rows.ts";
import { homeOf, segmentsOf } from "./port-vlans.ts";
import type { PortRecord, SwitchRecord } from "./records.ts";

/** What a provider's rows are made from. */
export interface DesiredRowsInput {
  readonly provider: string;
  readonly chassisOf: (host: string) => string;
  readonly record: SwitchRecord;
  readonly ports: readonly PortRecord[];
}

/** Every row that a switch is made of. Pure: a function of what is kept. */
export function desiredRows(input: DesiredRowsInput): readonly DesiredRow[] {
  const { provider, record, ports } = input;
  const { spec } = record;
  const rows: DesiredRow[] = [];
  const own: RowMarks = (key, extra = {}) => ({
    [marks.provider]: provider,
    [marks.key]: key,
    ...extra,
  });
  const balancers = balancerRows(spec, own);
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
    rows.push(...portRows(input, { port, setting, own }));
  }
  rows.push(...dhcpRows(spec, own));
  if (balancers.length > 0) rows.push(...routerRows(spec, own));
  return rows;
}

/** What a port group's DHCP answers. */
function dhcpRows({ switchId, portGroups, mtu }: SwitchSpec, own: RowMarks): readonly DesiredRow[] {
  return portGroups.flatMap(({ key: group, setting: { dhcp } }): DesiredRow[] => {
    if (dhcp === undefined) return [];
    const key = keys.dhcp(switchId, group);
    const options: Record<string, string> = {
      server_id: dhcp.serverAddress,
      server_mac: dhcp.serverMac,
      lease_time: String(dhcp.leaseSeconds),
      mtu: String(mtu),
      ...(dhcp.router === undefined ? {} : { router: dhcp.router }),
      ...(dhcp.dnsServers.length === 0 ? {} : { dns_server: `{${dhcp.dnsServers.join(", ")}}` }),
    };
    return [{ table: "DHCP_Options", key, columns: { cidr: dhcp.subnet, options, external_ids: own(key) } }];
  });
}
