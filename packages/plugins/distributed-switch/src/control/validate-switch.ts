import type { PortSetting, SpecProblem, SwitchSpec } from "@vdc-os/core/network/v1";

/** What tunnelling takes from the underlay's MTU: the inner Ethernet header, VXLAN, UDP and IPv4 (RFC 7348). */
export const tunnelOverheadBytes = 50;

/** Options of {@link validateSwitch}. */
export interface ValidateSwitchOptions {
  /** The largest IP packet between the hosts, in bytes. */
  readonly underlayMtu: number;
}

/** Everything that is wrong with a spec. Pure: the same spec always has the same problems. */
export function validateSwitch(spec: SwitchSpec, { underlayMtu }: ValidateSwitchOptions): readonly SpecProblem[] {
  const problems: SpecProblem[] = [];
  const say = (path: string, message: string): void => void problems.push({ path, message });
  const room = underlayMtu - tunnelOverheadBytes;
  if (spec.mtu > room) {
    say("mtu", `is ${spec.mtu}; the underlay carries ${underlayMtu}, of which the tunnel leaves ${room}`);
  }
  repeated(spec.members.map(({ host }) => host)).forEach((at) => {
    say(`members[${at}].host`, `'${spec.members[at]?.host}' is there twice`);
  });
  spec.members.forEach(({ uplinks }, at) => {
    if (uplinks.length > 0) say(`members[${at}].uplinks`, "uplinks are not supported: hosts are joined by tunnels");
  });
  repeated(spec.portGroups.map(({ key }) => key)).forEach((at) => {
    say(`portGroups[${at}].key`, `'${spec.portGroups[at]?.key}' is there twice`);
  });
  repeated(spec.portGroups.map(({ name }) => name)).forEach((at) => {
    say(`portGroups[${at}].name`, `'${spec.portGroups[at]?.name}' is there twice`);
  });
  spec.portGroups.forEach(({ setting }, at) => {
    problems.push(...validateSetting(setting, `portGroups[${at}].setting`));
  });
  if ((spec.mirrors ?? []).length > 0) say("mirrors", "the facet 'mirroring' is not available");
  if (spec.flowExport !== undefined) say("flowExport", "the facet 'flowExport' is not available");
  if ((spec.discovery ?? "off") !== "off") say("discovery", "the facet 'discovery' is not available");
  if (spec.multicastSnooping === true) say("multicastSnooping", "the facet 'multicastSnooping' is not available");
  return problems;
}

/** Everything that is wrong with a port's setting. */
export function validateSetting(setting: PortSetting, path: string): readonly SpecProblem[] {
  const problems: SpecProblem[] = [];
  const say = (where: string, message: string): void => void problems.push({ path: `${path}.${where}`, message });
  const { vlan } = setting;
  if (vlan.kind === "pvlan") say("vlan", "the facet 'pvlan' is not available");
  if (vlan.kind === "trunk") {
    vlan.ranges.forEach(({ from, to }, at) => {
      if (from > to) say(`vlan.ranges[${at}]`, `runs backwards, from ${from} to ${to}`);
    });
  }
  if (setting.teaming !== undefined) say("teaming", "the facet 'teaming' is not available");
  if (setting.shapingIn !== undefined) say("shapingIn", "the facet 'shaping' is not available");
  if (setting.shapingOut !== undefined) say("shapingOut", "the facet 'shaping' is not available");
  if ((setting.filters ?? []).length > 0) say("filters", "the facet 'accessControl' is not available");
  return problems;
}

function repeated(names: readonly string[]): readonly number[] {
  return names.flatMap((name, at) => (names.indexOf(name) < at ? [at] : []));
}
