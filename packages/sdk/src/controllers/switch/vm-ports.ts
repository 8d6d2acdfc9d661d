import type { VirtualMachineSpec, VirtualMachineStatus } from "../../kinds/virtual-machine-spec.ts";
import type { Resource } from "../../resource/resource.ts";
import { nicsOf } from "../virtual-machine/attachments.ts";

/** A VM's NIC on a switch. */
export interface VmPort {
  readonly portKey: string;
  readonly vm: string;
  readonly nic: string;
  readonly mac: string;
  /** Its place in the VM's `nics`. */
  readonly index: number;
}

type Vm = Resource<VirtualMachineSpec, VirtualMachineStatus>;

/** The NICs that VMs have on a switch of their tenant, by port key. */
export function vmPortsOf(vms: readonly Vm[], switchName: string): ReadonlyMap<string, VmPort> {
  const ports = new Map<string, VmPort>();
  for (const vm of vms) {
    for (const [index, { id, portKey, mac }] of nicsOf(vm).entries()) {
      if (vm.spec.nics[index]?.switch !== switchName) continue;
      ports.set(portKey, { portKey, vm: vm.metadata.name, nic: id, mac, index });
    }
  }
  return ports;
}
