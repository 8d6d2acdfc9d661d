import type { PortSetting, SpecProblem, SwitchSpec } from "@vdc-os/core/network/v1";

/** Everything that the simulated switch can't do of a spec. Pure. */
export function validateSwitch(spec: SwitchSpec): readonly SpecProblem[] {
  const problems: SpecProblem[] = [];
  const say = (path: string, message: string): void => void problems.push({ path, message });
  const repeated = (values: readonly string[], path: (at: number) => string): void => {
    values.forEach((value, at) => {
      if (values.indexOf(value) < at) say(path(at), `'${value}' is there twice`);
    });
  };
  repeated(
    spec.members.map(({ host }) => host),
    (at) => `members[${at}].host`,
  );
  repeated(
    spec.portGroups.map(({ key }) => key),
    (at) => `portGroups[${at}].key`,
  );
  repeated(
    spec.portGroups.map(({ name }) => name),
    (at) => `portGroups[${at}].name`,
  );
  spec.members.forEach(({ uplinks }, at) => {
    if (uplinks.length > 0) say(`members[${at}].uplinks`, "simulated hosts have no uplinks");
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

/** Everything that the simulated switch can't do of a port's setting. */
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
