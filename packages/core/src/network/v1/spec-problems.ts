import { isIP } from "node:net";
import type { NetworkFacets } from "./distributed-switch.ts";
import type { FilterRule, PortSetting, VlanSetting } from "./port-setting.ts";
import type { SpecProblem, SwitchSpec } from "./switch-spec.ts";

/** What a provider can do, for {@link specProblems}. */
export interface SwitchAbilities {
  /** The facets that are available. */
  readonly facets: ReadonlySet<keyof NetworkFacets>;
  readonly transports: readonly SwitchSpec["transport"][];
  /** Whether filters can let answers pass (`related`). */
  readonly statefulFilters: boolean;
}

type Say = (path: string, message: string) => void;

/**
 * What is wrong with a spec for any provider of these abilities: what is there twice, what refers to nothing, values that contradict each other, and
 * settings whose facet is unavailable. A provider adds what is particular to it. Pure.
 */
export function specProblems(spec: SwitchSpec, abilities: SwitchAbilities): readonly SpecProblem[] {
  const problems: SpecProblem[] = [];
  const say: Say = (path, message) => void problems.push({ path, message });
  const { members, portGroups, mirrors = [] } = spec;
  if (!abilities.transports.includes(spec.transport)) {
    say("transport", `'${spec.transport}' is not available: there is ${abilities.transports.join(" and ")}`);
  }
  sayRepeated(say, members, "members", "host");
  sayRepeated(say, portGroups, "portGroups", "key");
  sayRepeated(say, portGroups, "portGroups", "name");
  sayRepeated(say, mirrors, "mirrors", "name");
  sayRepeated(say, spec.loadBalancers ?? [], "loadBalancers", "name");
  members.forEach(({ uplinks }, at) => {
    sayRepeated(say, uplinks, `members[${at}].uplinks`, "name");
    if (spec.transport === "overlay" && uplinks.length > 0) {
      say(`members[${at}].uplinks`, "are for the transport 'uplinks': members of an overlay are joined by tunnels");
    }
  });
  const uplinks = new Set(members.flatMap((member) => member.uplinks.map(({ name }) => name)));
  const sessions = new Set(mirrors.map(({ name }) => name));
  portGroups.forEach(({ setting }, at) => {
    const path = `portGroups[${at}].setting`;
    problems.push(...settingProblems(setting, path, abilities));
    [...(setting.teaming?.active ?? []), ...(setting.teaming?.standby ?? [])].forEach((name) => {
      if (!uplinks.has(name)) say(`${path}.teaming`, `no member has an uplink '${name}'`);
    });
    setting.filters?.forEach(({ action }, rule) => {
      if (action.kind !== "mirror" || sessions.has(action.session)) return;
      say(`${path}.filters[${rule}].action`, `there is no mirror session '${action.session}'`);
    });
  });
  mirrors.forEach(({ sourcePorts, destination }, at) => {
    if (destination.kind !== "port" || !sourcePorts.includes(destination.portKey)) return;
    say(`mirrors[${at}].destination`, `port '${destination.portKey}' can't be copied to itself`);
  });
  const need = (isThere: boolean, facet: keyof NetworkFacets, path: string): void => {
    if (isThere && !abilities.facets.has(facet)) say(path, unavailable(facet));
  };
  need(mirrors.length > 0, "mirroring", "mirrors");
  need(spec.flowExport !== undefined, "flowExport", "flowExport");
  need(spec.discovery !== undefined, "discovery", "discovery");
  need(spec.multicastSnooping === true, "multicastSnooping", "multicastSnooping");
  need((spec.loadBalancers ?? []).length > 0, "loadBalancing", "loadBalancers");
  return problems;
}

/** What is wrong with a port's setting for any provider of these abilities. Pure. */
export function settingProblems(
  setting: PortSetting,
  path: string,
  { facets, statefulFilters }: Pick<SwitchAbilities, "facets" | "statefulFilters">,
): readonly SpecProblem[] {
  const problems: SpecProblem[] = [];
  const say: Say = (where, message) => void problems.push({ path: `${path}.${where}`, message });
  const need = (isThere: boolean, facet: keyof NetworkFacets, where: string): void => {
    if (isThere && !facets.has(facet)) say(where, unavailable(facet));
  };
  need(setting.vlan.kind === "pvlan", "pvlan", "vlan");
  need(setting.macLearning !== undefined, "macLearning", "macLearning");
  need(setting.teaming !== undefined, "teaming", "teaming");
  need(setting.shapingIn !== undefined, "shaping", "shapingIn");
  need(setting.shapingOut !== undefined, "shaping", "shapingOut");
  need((setting.filters ?? []).length > 0, "accessControl", "filters");
  need(setting.dhcp !== undefined, "dhcp", "dhcp");
  sayVlan(say, setting.vlan);
  for (const name of ["shapingIn", "shapingOut"] as const) {
    const shaping = setting[name];
    if (shaping !== undefined && shaping.peakBitsPerSecond < shaping.averageBitsPerSecond) {
      say(name, `the peak of ${shaping.peakBitsPerSecond} bit/s is below the average`);
    }
  }
  setting.filters?.forEach((rule, at) => {
    sayFilter(say, rule, `filters[${at}]`);
    if (rule.action.kind === "accept" && rule.action.related === true && !statefulFilters) {
      say(`filters[${at}].action`, "'related' is not available: filters are stateless here");
    }
  });
  return problems;
}

/** What is wrong with the addresses of a port's VM, for any provider: those that are no IP addresses, and those with a zone, which is a host's own. Pure. */
export function addressProblems(addresses: readonly string[] = [], path = "addresses"): readonly SpecProblem[] {
  return addresses.flatMap((address, at) =>
    isAddress(address) ? [] : [{ path: `${path}[${at}]`, message: `'${address}' is no IP address` }],
  );
}

function sayVlan(say: Say, vlan: VlanSetting): void {
  if (vlan.kind === "trunk") {
    vlan.ranges.forEach(({ from, to }, at) => {
      if (from > to) say(`vlan.ranges[${at}]`, `runs backwards, from ${from} to ${to}`);
    });
    const { native } = vlan;
    if (native !== undefined && !vlan.ranges.some(({ from, to }) => from <= native && native <= to)) {
      say("vlan.native", `${native} is not among the VLANs of the trunk, so nothing would pass: list it as well`);
    }
  }
  if (vlan.kind === "pvlan" && (vlan.role === "promiscuous") !== (vlan.primary === vlan.secondary)) {
    say("vlan.secondary", "is the primary VLAN for a promiscuous port, and another one for every other role");
  }
}

function sayFilter(say: Say, { match }: FilterRule, path: string): void {
  for (const name of ["sourcePrefix", "destinationPrefix"] as const) {
    const prefix = match[name];
    if (prefix !== undefined && !isPrefix(prefix)) {
      say(`${path}.match.${name}`, `'${prefix}' is no prefix, such as 192.0.2.0/24 or 2001:db8::/32`);
    }
  }
  for (const name of ["sourcePorts", "destinationPorts"] as const) {
    const ports = match[name];
    if (ports !== undefined && ports.from > ports.to) {
      say(`${path}.match.${name}`, `runs backwards, from ${ports.from} to ${ports.to}`);
    }
  }
}

function isPrefix(text: string): boolean {
  const [address = "", length = "", ...more] = text.split("/");
  if (!isAddress(address) || more.length > 0 || !/^\d{1,3}$/.test(length)) return false;
  return Number(length) <= (isIP(address) === 4 ? 32 : 128);
}

/** An IPv4 or IPv6 address, without a zone (RFC 4007): that is a link of one host. */
function isAddress(text: string): boolean {
  return isIP(text) !== 0 && !text.includes("%");
}

function sayRepeated<Name extends string>(
  say: Say,
  items: readonly { readonly [name in Name]: string }[],
  path: string,
  name: Name,
): void {
  const seen = new Set<string>();
  items.forEach((item, at) => {
    if (seen.has(item[name])) say(`${path}[${at}].${name}`, `'${item[name]}' is there twice`);
    seen.add(item[name]);
  });
}

function unavailable(facet: string): string {
  return `the facet '${facet}' is not available`;
}
