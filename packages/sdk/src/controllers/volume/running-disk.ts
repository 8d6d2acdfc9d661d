import { isVdcError } from "@vdc-os/core";
import { virtualMachineKind } from "../../kinds/virtual-machine-spec.ts";
import type { VolumeMove, VolumeStatus } from "../../kinds/volume-spec.ts";
import type { DatacenterProviders } from "../providers.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/** A disk of a VM that runs. */
export type RunningDisk = NonNullable<VolumeMove["online"]>;

/** The VM's disk that a volume is, while the VM runs; or what that waits for. */
export async function findRunningDisk(
  context: VolumeContext,
  object: VolumeObject,
  providers: DatacenterProviders,
  attachedTo: NonNullable<VolumeStatus["attachedTo"]>,
): Promise<RunningDisk | { readonly waitsFor: string }> {
  const { host, generation } = attachedTo;
  const { tenant, name } = object.metadata;
  const waitsFor = `VM '${attachedTo.vm}' on host '${host}' has it attached, and does not run yet`;
  const vm = await context.store.find(virtualMachineKind, { tenant, name: attachedTo.vm }, { signal: context.signal });
  const disk = vm?.status.disks?.find(({ volume }) => volume === name);
  const vmId = vm?.status.vmId;
  if (vmId === undefined || disk === undefined || vm?.status.generation !== generation) return { waitsFor };
  const found = await providers.compute.get(host).getVm({ vmId }, context.operation).catch(undefinedWhenAbsent);
  const runs = found?.state === "running" || found?.state === "paused";
  return runs && found.generation === generation ? { vm: attachedTo.vm, vmId, diskId: disk.id } : { waitsFor };
}

/** What is absent, as `undefined`; other failures stay failures. */
export function undefinedWhenAbsent(error: unknown): undefined {
  if (!isVdcError(error, "NOT_FOUND")) throw error;
  return undefined;
}
