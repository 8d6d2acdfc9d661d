import { isIP } from "node:net";
import {
  type PortSetting,
  type SpecProblem,
  type SwitchAbilities,
  type SwitchSpec,
  settingProblems,
  specProblems,
} from "@vdc-os/core/network/v1";
import { isInterfaceName } from "../dataplane/interface-name.ts";

/** What tunnelling takes from the underlay's MTU: the inner Ethernet header, VXLAN, UDP and IPv4 (RFC 7348). */
export const tunnelOverheadBytes = 50;

/** The shortest timeouts of flows. */
const minFlowMs = 1_000;

/** What this switch can do. */
export const switchAbilities: SwitchAbilities = {
  facets: new Set([
    "gate",
    "securityPolicy",
    "pvlan",
    "macLearning",
    "accessControl",
    "shaping",
    "mirroring",
    "flowExport",
    "multicastSnooping",
    "teaming",
    "discovery",
    "migration",
    "configArchive",
    "healthCheck",
    "capture",
    "explain",
  ]),
  transports: ["overlay", "uplinks"],
  statefulFilters: false,
};

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
  if (spec.transport === "overlay" && spec.mtu > room) {
    say("mtu", `is ${spec.mtu}; the underlay carries ${underlayMtu}, of which the tunnel leaves ${room}`);
  }
  problems.push(...specProblems(spec, switchAbilities));
  spec.members.forEach(({ uplinks }, at) => {
    const taken = new Set<string>();
    uplinks.forEach(({ backing }, uplink) => {
      const path = `members[${at}].uplinks[${uplink}].backing`;
      const place = backing.kind === "stream" ? backing.path : backing.interfaceName;
      if (backing.kind === "interface" && !isInterfaceName(place)) {
        say(path, `'${place}' can't be the name of an interface`);
      }
      if (taken.has(`${backing.kind} ${place}`)) say(path, `'${place}' is another uplink of the host as well`);
      taken.add(`${backing.kind} ${place}`);
    });
  });
  spec.portGroups.forEach(({ setting }, at) => {
    problems.push(...ownProblems(setting, `portGroups[${at}].setting`));
  });
  const { activeTimeoutMs = minFlowMs, idleTimeoutMs = minFlowMs } = spec.flowExport ?? {};
  if (Math.min(activeTimeoutMs, idleTimeoutMs) < minFlowMs) {
    say("flowExport", `flows are looked at once a second: the timeouts are ${minFlowMs} ms at least`);
  }
  const sources = new Set(spec.mirrors?.flatMap(({ sourcePorts }) => sourcePorts));
  spec.mirrors?.forEach(({ destination }, at) => {
    if (destination.kind !== "port" && isIP(destination.address) === 0) {
      say(`mirrors[${at}].destination.address`, `'${destination.address}' is no IP address`);
    }
    if (destination.kind === "port" && sources.has(destination.portKey)) {
      say(`mirrors[${at}].destination`, `port '${destination.portKey}' is a source as well: copies would be copied`);
    }
  });
  problems.push(...secondaryProblems(spec));
  return problems;
}

/** Everything that is wrong with a port's setting. */
export function validateSetting(setting: PortSetting, path: string): readonly SpecProblem[] {
  return [...settingProblems(setting, path, switchAbilities), ...ownProblems(setting, path)];
}

function ownProblems({ teaming }: PortSetting, path: string): readonly SpecProblem[] {
  if (teaming?.policy !== "lacp") return [];
  return [
    {
      path: `${path}.teaming.policy`,
      message: "'lacp' is not available: the switch speaks no LACP with its neighbours",
    },
  ];
}

/** A secondary VLAN is of one primary, and no primary itself: the data plane would refuse anything else. */
function secondaryProblems({ portGroups }: SwitchSpec): readonly SpecProblem[] {
  const primaries = new Map<number, number>();
  const problems: SpecProblem[] = [];
  portGroups.forEach(({ setting: { vlan } }, at) => {
    if (vlan.kind !== "pvlan" || vlan.role === "promiscuous") return;
    const known = primaries.get(vlan.secondary) ?? vlan.primary;
    primaries.set(vlan.secondary, known);
    if (known === vlan.primary) return;
    const message = `is a secondary VLAN of ${known} already`;
    problems.push({ path: `portGroups[${at}].setting.vlan.secondary`, message });
  });
  portGroups.forEach(({ setting: { vlan } }, at) => {
    if (vlan.kind !== "pvlan" || !primaries.has(vlan.primary)) return;
    problems.push({ path: `portGroups[${at}].setting.vlan.primary`, message: "is a secondary VLAN as well" });
  });
  return problems;
}
