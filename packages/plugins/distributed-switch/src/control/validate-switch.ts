import {
  type PortSetting,
  type SpecProblem,
  type SwitchAbilities,
  type SwitchSpec,
  settingProblems,
  specProblems,
} from "@vdc-os/core/network/v1";

/** What tunnelling takes from the underlay's MTU: the inner Ethernet header, VXLAN, UDP and IPv4 (RFC 7348). */
export const tunnelOverheadBytes = 50;

/** What this switch can do. */
export const switchAbilities: SwitchAbilities = {
  facets: new Set([
    "gate",
    "securityPolicy",
    "pvlan",
    "macLearning",
    "accessControl",
    "shaping",
    "migration",
    "configArchive",
  ]),
  transports: ["overlay"],
  statefulFilters: false,
};

/** Options of {@link validateSwitch}. */
export interface ValidateSwitchOptions {
  /** The largest IP packet between the hosts, in bytes. */
  readonly underlayMtu: number;
}

/** Everything that is wrong with a spec. Pure: the same spec always has the same problems. */
export function validateSwitch(spec: SwitchSpec, { underlayMtu }: ValidateSwitchOptions): readonly SpecProblem[] {
  const problems = specProblems(spec, switchAbilities);
  const room = underlayMtu - tunnelOverheadBytes;
  if (spec.mtu <= room) return problems;
  const message = `is ${spec.mtu}; the underlay carries ${underlayMtu}, of which the tunnel leaves ${room}`;
  return [{ path: "mtu", message }, ...problems];
}

/** Everything that is wrong with a port's setting. */
export function validateSetting(setting: PortSetting, path: string): readonly SpecProblem[] {
  return settingProblems(setting, path, switchAbilities);
}
