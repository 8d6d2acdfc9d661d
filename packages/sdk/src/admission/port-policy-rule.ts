import { toVdcError } from "@vdc-os/core";
import { portPolicyProblems } from "../decisions/switch-problems.ts";
import { switchKind, type SwitchKindSpec } from "../kinds/switch-spec.ts";
import { virtualMachineKind, type VmNicSpec } from "../kinds/virtual-machine-spec.ts";
import type { ObjectCache } from "../store/object-cache.ts";
import type { Policy } from "./admission.ts";

/**
 * Refuses a VM whose NIC sets what its port group does not let it set, and a switch that takes a right away from ports which use it. Which switches and VMs there
 * are it knows from the cache, which may be a moment behind: what comes through then fails when the port is connected.
 */
export function portPolicyRule(cache: () => ObjectCache): Policy {
  return {
    name: "portOverrides",
    kinds: [virtualMachineKind.kind, switchKind.kind],
    decide({ kind, metadata: { tenant, name }, spec }) {
      const problems: string[] = [];
      let path = "";
      if (kind === virtualMachineKind.kind) {
        const { nics } = spec as { readonly nics: readonly VmNicSpec[] };
        for (const [index, nic] of nics.entries()) {
          const network = cache().get(switchKind, { tenant, name: nic.switch });
          const found = network === undefined ? [] : problemsOf(network.spec, nic);
          if (found.length > 0 && problems.length === 0) path = `/nics/${index}/policy`;
          problems.push(...found);
        }
      } else {
        for (const vm of cache().list(virtualMachineKind, { tenant })) {
          for (const nic of vm.spec.nics.filter((each) => each.switch === name)) {
            problems.push(
              ...problemsOf(spec as SwitchKindSpec, nic).map((problem) => `VM '${vm.metadata.name}': ${problem}`),
            );
          }
        }
      }
      if (problems.length === 0) return { type: "allow" };
      return { type: "deny", reason: problems.join("; "), path };
    },
  };
}

function problemsOf(network: SwitchKindSpec, { portGroup, policy }: VmNicSpec): readonly string[] {
  const group = network.portGroups.find(({ name }) => name === portGroup);
  if (group === undefined || policy === undefined) return [];
  try {
    return portPolicyProblems(network, group, policy);
  } catch (error) {
    return [toVdcError(error).message];
  }
}
