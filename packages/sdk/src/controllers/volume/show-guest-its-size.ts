import type { Volume } from "@vdc-os/core/storage/v1";
import type { DatacenterProviders } from "../providers.ts";
import { findRunningDisk } from "./running-disk.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/**
 * Lets the guest that has a volume see what the volume was grown to. The size in the status is the one that the guest was told last, so that a run after a kill
 * tells it again. Returns what this waits for, or why the guest will see it only when its VM is started anew.
 */
export async function showGuestItsSize(
  context: VolumeContext,
  object: VolumeObject,
  { capacityBytes }: Volume,
  providers: DatacenterProviders,
): Promise<{ readonly waitsFor?: string; readonly later?: string }> {
  const { attachedTo, capacityBytes: told } = object.status;
  if (attachedTo === undefined || told === undefined || told >= capacityBytes) return {};
  const disk = await findRunningDisk(context, object, providers, attachedTo);
  if ("waitsFor" in disk) return disk;
  const facet = await providers.compute.get(attachedTo.host).facet("diskResize", context.operation);
  if (!facet.available) {
    return { later: `its guest sees ${capacityBytes} bytes when VM '${disk.vm}' is started anew: ${facet.reason}` };
  }
  const { vmId, diskId } = disk;
  await facet.operations.resizeDisk(
    { vmId, diskId, generation: attachedTo.generation, capacityBytes },
    context.operation,
  );
  return {};
}
