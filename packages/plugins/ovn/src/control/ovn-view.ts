import {
  type MemberStatus,
  type PortStatus,
  settingOf,
  type SwitchSpec,
  type SwitchStatus,
} from "@vdc-os/core/network/v1";
import type { FlowState } from "../flows/flow-verifier.ts";
import type { LogicalFlowView } from "../flows/logical-flows.ts";
import type { InterfaceView } from "./chassis-interfaces.ts";
import { taggedVlans } from "./port-vlans.ts";
import { logicalPort } from "./names.ts";
import type { KeptSwitch, PortRecord } from "./records.ts";

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

/** What a host's bridge tells of flows. */
export interface VerifierView {
  /** Why it can't be asked. */
  readonly problem: string | undefined;
  state(cookie: bigint): FlowState;
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
  readonly logicalFlows: (port: string) => readonly LogicalFlowView[];
  /** Undefined where the host's bridge is not asked. */
  readonly verifier: (host: string) => VerifierView | undefined;
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
    const before = realizedBefore(host);
    if (view.acknowledged < sequence) {
      const detail = `chassis '${name}' has not acknowledged the change yet`;
      return { host, state: "pending", realizedGeneration: before, detail };
    }
    const lacking = lackingOf(input, host);
    if (lacking === undefined) return { host, state: "up", realizedGeneration: generation, detail: "" };
    // A NIC that has just come brings flows with it; what was in force before still is.
    if (lacking.state === "pending" && before === generation) {
      return { host, state: "up", realizedGeneration: generation, detail: "" };
    }
    return { host, realizedGeneration: before, ...lacking };
  });
  const ports = [...kept.ports.values()]
    .filter(({ connected }) => connected)
    .sort((a, b) => (a.portKey < b.portKey ? -1 : 1))
    .map((port): PortStatus => {
      const name = logicalPort(provider, port);
      const binding = input.binding(name);
      const nic = input.nic(port.host, name);
      const isHere = binding?.up === true && binding.chassis === chassisOf(port.host) && nic?.isInstalled !== false;
      const lacking = lackingOf(input, port.host, port);
      const problem =
        problemOf(input, port.host, settingOf(spec, port) === undefined ? port.portGroup : undefined) ??
        (lacking?.state === "outOfSync" ? lacking.detail : undefined);
      return {
        portKey: port.portKey,
        portGroup: port.portGroup,
        host: port.host,
        generation: port.generation,
        link: isHere && problem === undefined && lacking === undefined ? "up" : "down",
        gate: port.gate,
        learnedMacs: [],
        ...(problem === undefined ? {} : { problem }),
        ...(port.opaque === undefined ? {} : { opaque: port.opaque }),
      };
    });
  return { switchId: spec.switchId, desiredGeneration: generation, members, ports };
}

/** The logical flows that a chassis must have flows for because a NIC is there: none while it has not claimed it. */
export function flowsOfPort(
  port: PortRecord,
  of: Pick<StatusInput, "provider" | "binding" | "logicalFlows"> & { readonly spec: SwitchSpec; readonly on: string },
): readonly LogicalFlowView[] {
  const name = logicalPort(of.provider, port);
  const setting = settingOf(of.spec, port);
  const names = [name, ...(setting === undefined ? [] : taggedVlans(setting.vlan).map((vlan) => `${name}-v${vlan}`))];
  return names.flatMap((each) => {
    const binding = of.binding(each);
    return binding?.up === true && binding.chassis === of.on ? of.logicalFlows(each) : [];
  });
}

/** What a host's bridge does not hold though its chassis has acknowledged it: for the port, or for any. Undefined where all is there. */
function lackingOf(
  { provider, kept, chassisOf, binding, logicalFlows, verifier }: StatusInput,
  host: string,
  only?: PortRecord,
): Pick<MemberStatus, "state" | "detail"> | undefined {
  const bridge = verifier(host);
  if (bridge === undefined) return undefined;
  const { spec } = kept.record;
  const of = { provider, spec, on: chassisOf(host), binding, logicalFlows };
  let isAsked = false;
  for (const port of only === undefined ? kept.ports.values() : [only]) {
    if (!port.connected || port.host !== host) continue;
    for (const { cookie, stage } of flowsOfPort(port, of)) {
      const state = bridge.state(cookie);
      if (state === "there") continue;
      if (bridge.problem !== undefined) {
        return { state: "outOfSync", detail: `its flows can't be verified: ${bridge.problem}` };
      }
      if (state === "missing") {
        const what = `logical flow 0x${cookie.toString(16)} (${stage}) of port '${port.portKey}'`;
        const detail = `chassis '${of.on}' has acknowledged ${what}, and its bridge has no flow of it: see the log of ovn-controller there`;
        return { state: "outOfSync", detail };
      }
      isAsked = true;
    }
  }
  return isAsked ? { state: "pending", detail: `flows of chassis '${of.on}' are being verified` } : undefined;
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
