import { isVdcError, VdcError } from "@vdc-os/core";
import type { DiskMigration, StorageMigrationFacet } from "@vdc-os/core/compute/v1";
import type { VolumeMove, VolumeStatus } from "../../kinds/volume-spec.ts";
import type { DatacenterProviders } from "../providers.ts";
import { ensureTarget } from "./move-target.ts";
import { arrive, enter, giveUp, type MoveStep } from "./move-step.ts";
import { showProgress } from "./move-progress.ts";
import { findRunningDisk, type RunningDisk, undefinedWhenAbsent } from "./running-disk.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

const pollMs = 200;

/** The VM's disk that a volume is, while the VM runs where disks can be moved; or what that waits for. */
export async function findMovableDisk(
  context: VolumeContext,
  object: VolumeObject,
  providers: DatacenterProviders,
  attachedTo: NonNullable<VolumeStatus["attachedTo"]>,
): Promise<RunningDisk | { readonly waitsFor: string }> {
  await migrationFacet(context, providers, attachedTo.host);
  return findRunningDisk(context, object, providers, attachedTo);
}

/** Has the hypervisor copy, and goes on when both sides are the same. */
export async function copyOnline(
  context: VolumeContext,
  object: VolumeObject,
  move: VolumeMove,
  providers: DatacenterProviders,
): Promise<MoveStep> {
  const facet = await migrationFacet(context, providers, move.host);
  const ref = refOf(move);
  const { transport } = await ensureTarget(context, object, move, providers);
  let now: DiskMigration;
  try {
    now = await facet.startDiskMigration({ ...ref, target: transport }, context.operation);
  } catch (error) {
    // Of a VM that has just ended, or was started anew: the volume's owner will say so.
    if (isVdcError(error, "NOT_FOUND") || isVdcError(error, "FAILED_PRECONDITION")) {
      if (!(await isRunning(context, move, providers))) return enter("undoing");
    }
    throw error;
  }
  switch (now.state) {
    case "ready":
      // Also of a move that was through before it was looked at.
      await showProgress(context, move, now);
      return enter("switching");
    case "done":
      return arrive;
    case "copying":
      await showProgress(context, move, now);
      return { wait: { requeueAfterMs: pollMs } };
    case "cancelled":
      return enter("undoing");
    case "failed":
      // A VM that goes on has a target that failed it: another try would end the same.
      if (await isRunning(context, move, providers)) return giveUp(context, move, new Error(now.message));
      return enter("undoing");
  }
}

/** Finds out whether the hypervisor has switched, and has it switch, or stay. */
export async function resolveSwitch(
  context: VolumeContext,
  object: VolumeObject,
  move: VolumeMove,
  providers: DatacenterProviders,
  isWanted: boolean,
): Promise<MoveStep> {
  const facet = await migrationFacet(context, providers, move.host);
  const ref = refOf(move);
  const { generation: _, ...named } = ref;
  const now = await facet.diskMigrationStatus(named, context.operation).catch((error: unknown) => {
    if (!isVdcError(error, "NOT_FOUND")) throw error;
    throw new VdcError(
      "FAILED_PRECONDITION",
      `host '${move.host}' does not know any more whether it has switched volume '${object.metadata.name}' to storage '${move.to.storage}'`,
      { reason: "VDC_MOVE_UNDECIDED" },
    );
  });
  switch (now.state) {
    case "done":
      return arrive;
    case "cancelled":
    case "failed":
      return enter("undoing");
    case "copying":
      return enter("copying");
    case "ready":
      if (isWanted) await facet.completeDiskMigration(ref, context.operation);
      else await facet.cancelDiskMigration(ref, context.operation);
      return isWanted ? arrive : enter("undoing");
  }
}

/** Has the hypervisor stay with the source. A VM that is gone, or was started anew, writes to the target no more. */
export async function cancelOnline(
  context: VolumeContext,
  object: VolumeObject,
  move: VolumeMove,
  providers: DatacenterProviders,
): Promise<void> {
  if (move.online === undefined) return;
  const facet = await migrationFacet(context, providers, move.host);
  const generation = Math.max(move.generation, object.status.attachedTo?.generation ?? 0);
  try {
    await facet.cancelDiskMigration({ ...refOf(move), generation }, context.operation);
  } catch (error) {
    const isGone = isVdcError(error, "NOT_FOUND") || (isVdcError(error) && error.reason === "VDC_FENCED");
    if (!isGone) throw error;
  }
}

async function isRunning(context: VolumeContext, move: VolumeMove, providers: DatacenterProviders): Promise<boolean> {
  const vmId = move.online?.vmId ?? "";
  const vm = await providers.compute.get(move.host).getVm({ vmId }, context.operation).catch(undefinedWhenAbsent);
  return vm !== undefined && vm.state !== "off" && vm.state !== "crashed" && vm.generation === move.generation;
}

async function migrationFacet(
  context: VolumeContext,
  providers: DatacenterProviders,
  host: string,
): Promise<StorageMigrationFacet> {
  const facet = await providers.compute.get(host).facet("storageMigration", context.operation);
  if (facet.available) return facet.operations;
  throw new VdcError("UNIMPLEMENTED", `host '${host}' can't move a disk of a VM that runs: ${facet.reason}`);
}

function refOf(move: VolumeMove) {
  const { vmId = "", diskId = "" } = move.online ?? {};
  return { vmId, diskId, generation: move.generation, migrationId: move.to.name };
}
