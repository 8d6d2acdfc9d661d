import { isIPv4 } from "node:net";
import {
  type DhcpSetting,
  type PortSetting,
  type SpecProblem,
  type SwitchAbilities,
  type SwitchSpec,
  settingProblems,
  specProblems,
} from "@vdc-os/core/network/v1";
import type { OvnConfig } from "../ovn-config.ts";

/** What Geneve takes of the underlay's MTU with OVN's option: inner Ethernet, Geneve, UDP and IPv4. */
export const tunnelOverheadBytes = 58;

/** How many VLANs a trunk may carry: each is a logical port of its own. */
export const maxTrunkVlans = 256;

/** What OVN can do. */
export const ovnAbilities: SwitchAbilities = {
  facets: new Set([
    "securityPolicy",
    "accessControl",
    "shaping",
    "multicastSnooping",
    "dhcp",
    "loadBalancing",
    "migration",
    "configArchive",
  ]),
  transports: ["overlay"],
  statefulFilters: true,
};

/** Everything that is wrong with a spec. Pure. */
export function validateSwitch(spec: SwitchSpec, config: OvnConfig): readonly SpecProblem[] {
  const problems = [...specProblems(spec, ovnAbilities)];
  const { underlayMtu = 1500, hosts } = config;
  const room = underlayMtu - tunnelOverheadBytes;
  if (spec.mtu > room) {
    const message = `is ${spec.mtu}; the underlay carries ${underlayMtu}, of which the tunnel leaves ${room}`;
    problems.push({ path: "mtu", message });
  }
  spec.members.forEach(({ host }, at) => {
    if (hosts[host] !== undefined) return;
    problems.push({ path: `members[${at}].host`, message: `'${host}' is not among the hosts of the plugin's config` });
  });
  spec.portGroups.forEach(({ setting }, at) => {
    problems.push(...ovnProblems(setting, `portGroups[${at}].setting`));
  });
  const hasRouter = spec.portGroups.some(({ setting }) => setting.dhcp?.router !== undefined);
  if ((spec.loadBalancers ?? []).length > 0 && !hasRouter) {
    problems.push({
      path: "loadBalancers",
      message: "need a port group with 'dhcp.router': what is for them goes there",
    });
  }
  spec.loadBalancers?.forEach(({ address, backends }, at) => {
    for (const text of [address, ...backends.map((backend) => backend.address)]) {
      if (isIPv4(text)) continue;
      problems.push({ path: `loadBalancers[${at}]`, message: `'${text}' is no IPv4 address` });
    }
  });
  return problems;
}

/** Everything that is wrong with a port's setting. */
export function validateSetting(setting: PortSetting, path: string): readonly SpecProblem[] {
  return [...settingProblems(setting, path, ovnAbilities), ...ovnProblems(setting, path)];
}

function ovnProblems(setting: PortSetting, path: string): readonly SpecProblem[] {
  const problems: SpecProblem[] = [];
  const say = (where: string, message: string): void => void problems.push({ path: `${path}.${where}`, message });
  const { vlan, security, filters = [], dhcp } = setting;
  if (vlan.kind === "trunk") {
    const count = vlan.ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from + 1), 0);
    if (count > maxTrunkVlans)
      say("vlan.ranges", `are ${count} VLANs; OVN makes each a port, and ${maxTrunkVlans} are allowed`);
  }
  if (security.promiscuous) say("security.promiscuous", "OVN gives a port no frames for others");
  for (const name of ["shapingIn", "shapingOut"] as const) {
    if ((setting[name]?.packetsPerSecond ?? 0) > 0) say(`${name}.packetsPerSecond`, "OVN limits bits alone: use 0");
  }
  filters.forEach(({ action }, at) => {
    if (action.kind === "accept" || action.kind === "drop") return;
    say(`filters[${at}].action`, `OVN's filters accept and drop; '${action.kind}' is not available`);
  });
  if (dhcp !== undefined) for (const message of dhcpProblems(dhcp)) say("dhcp", message);
  return problems;
}

/** OVN acknowledges DHCP options that its chassis then refuse, so what is not an address is refused here. */
function dhcpProblems({ subnet, serverAddress, router, dnsServers }: DhcpSetting): readonly string[] {
  const [network = "", length = "", ...more] = subnet.split("/");
  const isSubnet = isIPv4(network) && /^\d{1,2}$/.test(length) && Number(length) <= 30 && more.length === 0;
  const addresses = [serverAddress, ...(router === undefined ? [] : [router]), ...dnsServers];
  return [
    ...(isSubnet ? [] : [`'${subnet}' is no IPv4 subnet of up to 30 bits`]),
    ...addresses.filter((address) => !isIPv4(address)).map((address) => `'${address}' is no IPv4 address`),
  ];
}
