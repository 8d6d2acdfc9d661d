import type { DhcpSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import type { DesiredRow, RowMarks } from "./desired-row.ts";
import { keys, shortHash } from "./names.ts";
import { homeOf } from "./port-vlans.ts";

/** A switch's load balancers. Each logical switch of it refers to them all. */
export function balancerRows({ switchId, loadBalancers }: SwitchSpec, own: RowMarks): readonly DesiredRow[] {
  return (loadBalancers ?? []).map((balancer): DesiredRow => {
    const key = keys.balancer(switchId, balancer.name);
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
}

/**
 * A router in each network that has an address for one: what goes to a load balancer's address goes to it, and comes from it to the server. Networks
 * are not joined by it.
 */
export function routerRows({ switchId, name, portGroups }: SwitchSpec, own: RowMarks): readonly DesiredRow[] {
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
