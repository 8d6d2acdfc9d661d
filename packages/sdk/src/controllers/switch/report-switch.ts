import type { SwitchStatus } from "@vdc-os/core/network/v1";
import { mirrorsCondition, type PortProblem, portsCondition, type SwitchKindStatus } from "../../kinds/switch-spec.ts";
import { type ConditionChange, readyCondition } from "../../resource/condition.ts";
import type { VmPort } from "./vm-ports.ts";

/** How many ports with a problem the status names. */
const problemLimit = 50;

/** What a provider says of a switch, and what the datacenter knows besides. */
export interface SwitchReportInput {
  /** The provider's generation that is wanted. */
  readonly generation: number;
  readonly live: SwitchStatus;
  /** Ports by key, for the names of VMs. */
  readonly vmPorts: ReadonlyMap<string, VmPort>;
  /** Whether the spec has mirrors, and which of their VMs' NICs are not there. */
  readonly mirrors: { readonly any: boolean; readonly unresolved: readonly string[] };
}

/** What is shown of a switch. */
export interface SwitchReport {
  readonly realised: boolean;
  readonly status: Pick<SwitchKindStatus, "members" | "connectedPorts" | "linksUp" | "portProblems">;
  readonly conditions: readonly ConditionChange[];
}

/** Turns what a provider says of a switch into its status and conditions. A member with a warning is up all the same. Pure. */
export function reportSwitch({ generation, live, vmPorts, mirrors }: SwitchReportInput): SwitchReport {
  const { members, ports } = live;
  const told = (list: typeof members): string =>
    list.map(({ host, state, detail }) => `host '${host}' is ${state}${detail === "" ? "" : `: ${detail}`}`).join("; ");
  const waiting = members.filter(
    ({ state, realizedGeneration }) => (state !== "up" && state !== "warning") || realizedGeneration < generation,
  );
  const warned = members.filter(({ state }) => state === "warning");
  const realised = waiting.length === 0;
  const problems = ports.flatMap(({ portKey, host, problem }): PortProblem[] => {
    if (problem === undefined) return [];
    const owner = vmPorts.get(portKey);
    return [{ portKey, ...(owner === undefined ? {} : { vm: owner.vm, nic: owner.nic }), host, problem }];
  });
  const linksUp = ports.filter(({ link }) => link === "up").length;
  const links = linksUp === ports.length ? "" : `${ports.length - linksUp} of ${ports.length} links are down`;
  const named = problems
    .slice(0, 5)
    .map(
      ({ vm, nic, portKey, host, problem }) =>
        `${vm === undefined ? portKey : `${vm}/${nic}`} on '${host}': ${problem}`,
    );
  const more = problems.length > 5 ? [`and ${problems.length - 5} more`] : [];
  return {
    realised,
    status: {
      members,
      connectedPorts: ports.length,
      linksUp,
      portProblems: problems.slice(0, problemLimit),
    },
    conditions: [
      {
        type: readyCondition,
        status: realised ? "True" : "False",
        reason: realised ? "Realised" : "WaitsForMembers",
        message: told(realised ? warned : waiting),
      },
      {
        type: portsCondition,
        status: problems.length === 0 ? "True" : "False",
        reason: problems.length === 0 ? "AllWell" : "PortProblems",
        message: [...named, ...more, ...(links === "" ? [] : [links])].join("; "),
      },
      ...(mirrors.any
        ? [
            {
              type: mirrorsCondition,
              status: mirrors.unresolved.length === 0 ? ("True" as const) : ("False" as const),
              reason: mirrors.unresolved.length === 0 ? "Resolved" : "NicsMissing",
              message:
                mirrors.unresolved.length === 0 ? "" : `there is no VM's NIC ${mirrors.unresolved.join(", ")} here now`,
            },
          ]
        : []),
    ],
  };
}
