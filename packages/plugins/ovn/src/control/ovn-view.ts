import type { MemberStatus, PortStatus, SwitchStatus } from "@vdc-os/core/network/v1";
import type { InterfaceView } from "./chassis-interfaces.ts";
import { settingOf } from "./desired-rows.ts";
import { logicalPort } from "./names.ts";
import type { KeptSwitch } from "./northbound-state.ts";

/** What the southbound database tells of a chassis. */
export interface ChassisView {
  /** The number up to which it has acknowledged the northbound database. */
  readonly acknowledged: number;
}

/** What the southbound database tells of a logical port. */
export interface BindingView {
  /** The name of the chassis that has claimed it. */
  readonly chassis: string | undefined;
  readonly up: boolean;
}

/** All that a status is made from. */
export interface StatusInput {
  readonly provider: string;
  readonly kept: KeptSwitch;
  /** By which number the switch as it is now is acknowledged. */
  readonly sequence: number;
  /** What each host had realised before. */
  readonly realizedBefore: (host: string) => number;
  readonly chassisOf: (host: string) => string;
  readonly chassis: (name: string) => ChassisView | undefined;
  readonly binding: (port: string) => BindingView | undefined;
  /** Undefined where the host's Open vSwitch is not followed. */
  readonly nic: (host: string, port: string) => InterfaceView | undefined;
}

/** The switch as it is. Pure. */
export function statusOf(input: StatusInput): SwitchStatus {
  const { provider, kept, sequence, realizedBefore, chassisOf } = input;
  const { spec, generation } = kept.record;
  const members = spec.members.map(({ host }): MemberStatus => {
    const name = chassisOf(host);
    const view = input.chassis(name);
    if (view === undefined) {
      const detail = `OVN has no chassis '${name}': start ovn-controller there, with that system-id`;
      return { host, state: "disconnected", realizedGeneration: realizedBefore(host), detail };
    }
    const isCurrent = view.acknowledged >= sequence;
    return {
      host,
      state: isCurrent ? "up" : "pending",
      realizedGeneration: isCurrent ? generation : realizedBefore(host),
      detail: isCurrent ? "" : `chassis '${name}' has not acknowledged the change yet`,
    };
  });
  const ports = [...kept.ports.values()]
    .filter(({ connected }) => connected)
    .sort((a, b) => (a.portKey < b.portKey ? -1 : 1))
    .map((port): PortStatus => {
      const name = logicalPort(provider, port);
      const binding = input.binding(name);
      const nic = input.nic(port.host, name);
      const isHere = binding?.up === true && binding.chassis === chassisOf(port.host) && nic?.isInstalled !== false;
      const problem = problemOf(input, port.host, settingOf(spec, port) === undefined ? port.portGroup : undefined);
      return {
        portKey: port.portKey,
        portGroup: port.portGroup,
        host: port.host,
        generation: port.generation,
        link: isHere && problem === undefined ? "up" : "down",
        gate: port.gate,
        learnedMacs: [],
        ...(problem === undefined ? {} : { problem }),
        ...(port.opaque === undefined ? {} : { opaque: port.opaque }),
      };
    });
  return { switchId: spec.switchId, desiredGeneration: generation, members, ports };
}

function problemOf(
  { kept: { record }, chassisOf, chassis }: StatusInput,
  host: string,
  lostGroup?: string,
): string | undefined {
  if (!record.spec.members.some((member) => member.host === host)) return `host '${host}' is no longer a member`;
  if (lostGroup !== undefined) return `there is no port group '${lostGroup}' any more`;
  return chassis(chassisOf(host)) === undefined ? `host '${host}' has no chassis in OVN` : undefined;
}
