import type { ReconcileContext } from "../../controller/define-controller.ts";
import type { VirtualMachineSpec, VirtualMachineStatus } from "../../kinds/virtual-machine-spec.ts";
import type { Resource } from "../../resource/resource.ts";

/** A VM in the inventory. */
export type VmObject = Resource<VirtualMachineSpec, VirtualMachineStatus>;

/** What a reconcile of a VM works with. */
export type VmContext = ReconcileContext<VirtualMachineSpec, VirtualMachineStatus>;

/** A host that a VM was given. */
export interface ChosenHost {
  readonly name: string;
  readonly reason: string;
}
