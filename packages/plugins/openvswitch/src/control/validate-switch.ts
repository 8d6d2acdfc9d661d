import { isIPv4 } from "node:net";
import {
  type PortSetting,
  type SpecProblem,
  type SwitchAbilities,
  type SwitchSpec,
  settingProblems,
  specProblems,
} from "@vdc-os/core/network/v1";
import type { OpenVswitchConfig } from "../openvswitch-config.ts";

/** What VXLAN takes of the underlay's MTU: inner Ethernet with a tag, VXLAN, UDP, and IPv6 (IPv4 takes 20 less). */
export const tunnelOverheadBytes = 74;

/** What this switch can do. */
export const openVswitchAbilities: SwitchAbilities = {
  facets: new Set([
    "pvlan",
    "securityPolicy",
    "accessControl",
    "shaping",
    "mirroring",
    "flowExport",
    "migration",
    "configArchive",
    "explain",
    "capture",
    "healthCheck",
  ]),
  transports: ["overlay"],
  statefulFilters: false,
};

/** Everything that is wrong with a spec. Pure. */
export function validateSwitch(spec: SwitchSpec, config: OpenVswitchConfig): readonly SpecProblem[] {
  const problems = [...specProblems(spec, openVswitchAbilities)];
  const say = (path: string, message: string): void => void problems.push({ path, message });
  const { underlayMtu = 1500, hosts } = config;
  const overhead = spec.members.length < 2 ? 0 : overheadOf(spec, config);
  if (spec.mtu > underlayMtu - overhead && overhead > 0) {
    say(
      "mtu",
      `is ${spec.mtu}; the underlay carries ${underlayMtu}, of which the tunnel leaves ${underlayMtu - overhead}`,
    );
  }
  // Open vSwitch's databases keep no NUL (RFC 7047 leaves that to them), and one row that is refused keeps all others out.
  if (spec.switchId.includes("\0")) say("switchId", "has a NUL in it, which Open vSwitch can't keep");
  if (spec.flowExport !== undefined && !/^[\w.:-]+$/.test(spec.flowExport.collector)) {
    say("flowExport.collector", `'${spec.flowExport.collector}' is no address and no name of a host`);
  }
  spec.members.forEach(({ host }, at) => {
    const known = hosts[host];
    if (known === undefined) say(`members[${at}].host`, `'${host}' is not among the hosts of the plugin's config`);
    else if (known.tunnelAddress === undefined && spec.members.length > 1) {
      say(
        `members[${at}].host`,
        `'${host}' has no 'tunnelAddress' in the plugin's config, and there are other members`,
      );
    }
  });
  spec.portGroups.forEach(({ setting }, at) => {
    problems.push(...ownProblems(setting, `portGroups[${at}].setting`));
  });
  spec.mirrors?.forEach(({ samplingRate = 1, destination }, at) => {
    if (destination.kind !== "port")
      say(`mirrors[${at}].destination`, `'${destination.kind}' is not available: copies go to ports`);
    if (samplingRate > 1) say(`mirrors[${at}].samplingRate`, "is not available: every frame is copied");
  });
  if ((spec.mirrors?.length ?? 0) > 4094) say("mirrors", "are more than the 4,094 that tunnels can tell apart");
  return problems;
}

/** Everything that is wrong with a port's setting. */
export function validateSetting(setting: PortSetting, path: string): readonly SpecProblem[] {
  return [...settingProblems(setting, path, openVswitchAbilities), ...ownProblems(setting, path)];
}

function overheadOf({ members }: SwitchSpec, { hosts }: OpenVswitchConfig): number {
  const isVersion4 = members.every(({ host }) => isIPv4(hosts[host]?.tunnelAddress ?? "0.0.0.0"));
  return isVersion4 ? tunnelOverheadBytes - 20 : tunnelOverheadBytes;
}

function ownProblems(setting: PortSetting, path: string): readonly SpecProblem[] {
  const problems: SpecProblem[] = [];
  if (setting.shapingOut !== undefined) {
    const message =
      "is not available: a meter of Open vSwitch that drops a frame drops it for every port that it is for";
    problems.push({ path: `${path}.shapingOut`, message });
  }
  setting.filters?.forEach(({ action }, at) => {
    if (action.kind === "accept" || action.kind === "drop") return;
    const message = `filters accept and drop here; '${action.kind}' is not available`;
    problems.push({ path: `${path}.filters[${at}].action`, message });
  });
  return problems;
}
