import {
  type PortSetting,
  type SpecProblem,
  type SwitchAbilities,
  type SwitchSpec,
  settingProblems,
  specProblems,
} from "@vdc-os/core/network/v1";

const abilities: SwitchAbilities = {
  facets: new Set([
    "gate",
    "securityPolicy",
    "pvlan",
    "macLearning",
    "migration",
    "configArchive",
    "healthCheck",
    "capture",
    "explain",
  ]),
  transports: ["overlay"],
  statefulFilters: false,
};

/** Everything that the simulated switch can't do of a spec. Pure. */
export function validateSwitch(spec: SwitchSpec): readonly SpecProblem[] {
  return specProblems(spec, abilities);
}

/** Everything that the simulated switch can't do of a port's setting. */
export function validateSetting(setting: PortSetting, path: string): readonly SpecProblem[] {
  return settingProblems(setting, path, abilities);
}
