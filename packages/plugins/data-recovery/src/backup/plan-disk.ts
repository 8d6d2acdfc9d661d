import { isVdcError, type OperationContext } from "@vdc-os/core";
import type { BackupDisk, CreateRecoveryPoint } from "@vdc-os/core/backup/v1";
import type { PointStore } from "../repository/point-store.ts";
import type { DiskPlan } from "./run-record.ts";
import type { StorageAccess } from "./storage-access.ts";

/** How a disk is to be read. */
export type Reading = Pick<DiskPlan, "reading" | "because" | "base" | "checkpoint">;

/** Options of {@link planDisk}. */
export interface PlanDiskOptions {
  readonly input: CreateRecoveryPoint;
  readonly disk: BackupDisk;
  readonly capacityBytes: number;
  readonly checkpointName: string;
  readonly points: PointStore;
  readonly storage: StorageAccess;
}

/**
 * Has changes tracked from now on, and decides how the disk is read. It comes before the snapshot: what is written in between is in the snapshot, and is
 * told of again next time, which does no harm.
 */
export async function planDisk(options: PlanDiskOptions, context: OperationContext): Promise<Reading> {
  const { input, disk, capacityBytes, checkpointName, points, storage } = options;
  const { volumeId } = disk;
  const before = points
    .list(input.subject)
    .toReversed()
    .flatMap(({ point, contents }) =>
      point.disks.flatMap((each, i) => {
        const content = contents[i];
        const same = each.storage === disk.storage && each.volumeId === volumeId;
        return same && content !== undefined ? [{ disk: each, content }] : [];
      }),
    )[0];
  const otherwise = before === undefined ? ("full" as const) : ("compared" as const);
  const facet = await storage.facet(disk.storage, "changedBlocks", context);
  if (facet.operations === undefined) return { reading: otherwise, because: `no changed blocks: ${facet.reason}` };
  const changes = facet.operations;
  let id: string;
  try {
    const made = await storage.patiently(context, () =>
      changes.createCheckpoint({ volumeId, name: checkpointName }, context),
    );
    id = made.checkpoint;
  } catch (error) {
    const refused = isVdcError(error, "FAILED_PRECONDITION") || isVdcError(error, "RESOURCE_EXHAUSTED");
    if (!refused) throw error;
    return { reading: otherwise, because: `changes can't be tracked: ${error.message}` };
  }
  const checkpoint = { id, name: checkpointName };
  const full = (because: string): Reading => ({ reading: "full", because, checkpoint });
  if (input.mode === "full") return full("it was asked for");
  if (before === undefined) return full("it is the first");
  const since = before.content.checkpoint;
  if (since === undefined) return full("changes were not tracked before");
  if (capacityBytes < before.disk.capacityBytes) return full("the disk has become smaller");
  const live = (await changes.listCheckpoints({ volumeId }, context)).find(({ checkpoint: each }) => each === since.id);
  if (live?.intact !== true) {
    return full(live === undefined ? "the last checkpoint is gone" : "the tracking of changes was interrupted");
  }
  const base = {
    root: before.content.root,
    capacityBytes: before.disk.capacityBytes,
    dataBytes: before.disk.dataBytes,
    checkpoint: since.id,
  };
  return { reading: "changed", base, checkpoint };
}
