import { toVdcError, VdcError } from "@vdc-os/core";
import { hypervisor } from "@vdc-os/core/compute/v1";
import type { KernelApi } from "@vdc-os/core/kernel";
import type { ControlPlane } from "../controller/control-plane.ts";
import { virtualMachineKind } from "../kinds/virtual-machine-spec.ts";
import type { VirtualMachineClient } from "./datacenter.ts";
import { kindClient, keyOf, type ObjectName } from "./kind-client.ts";

/** How much of a console is kept to look for a match, in characters. */
const windowLength = 64 * 1024;

/** The client of VMs, with their consoles. */
export function virtualMachineClient(plane: ControlPlane, kernel: KernelApi): VirtualMachineClient {
  const locate = async (name: ObjectName, signal: AbortSignal | undefined) => {
    const key = keyOf(name);
    const vm = await plane.store.get(virtualMachineKind, key, { signal });
    const { host, vmId } = vm.status;
    if (host === undefined || vmId === undefined) {
      throw new VdcError("FAILED_PRECONDITION", `VM '${key.name}' was not started yet: wait for its task`, {
        blockers: [{ kind: "VirtualMachine", name: key.name }],
      });
    }
    return { compute: kernel.get(hypervisor, host), vmId };
  };
  const readConsole: VirtualMachineClient["readConsole"] = async function* (name, options = {}) {
    const { offset = 0, follow = false, signal } = options;
    const { compute, vmId } = await locate(name, signal);
    yield* compute.readConsole({ vmId, offset, follow }, { signal });
  };
  return {
    ...kindClient(plane, virtualMachineKind),
    readConsole,
    async waitForConsole(name, pattern, options = {}) {
      const { timeoutMs = 60_000, signal } = options;
      const timeout = AbortSignal.timeout(timeoutMs);
      const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
      let text = "";
      try {
        for await (const chunk of readConsole(name, { follow: true, signal: either })) {
          text = (text + chunk.text).slice(-windowLength);
          const match = pattern.exec(text);
          if (match !== null) return match;
        }
      } catch (error) {
        if (!timeout.aborted || signal?.aborted) throw toVdcError(error);
      }
      const { name: vm } = keyOf(name);
      const why = timeout.aborted ? `within ${timeoutMs} ms` : "before the VM stopped";
      const found = text === "" ? "nothing is on it" : `it ends with: ${text.slice(-400)}`;
      throw new VdcError(
        "DEADLINE_EXCEEDED",
        `the console of VM '${vm}' did not show ${String(pattern)} ${why}; ${found}`,
        {
          retryable: false,
        },
      );
    },
    async statistics(name, options = {}) {
      const { compute, vmId } = await locate(name, options.signal);
      return compute.vmStatistics({ vmId }, options);
    },
  };
}
