import { createOperationContext, isVdcError, type OperationContext } from "@vdc-os/core";
import type { BackupDisk } from "@vdc-os/core/backup/v1";
import type { Repository } from "../repository/repository.ts";
import type { RunRecord } from "./run-record.ts";
import type { StorageAccess } from "./storage-access.ts";
import { namesOf } from "./take-moment.ts";

/** What a run is released with. */
export interface ReleaseRunOptions {
  readonly repository: Repository;
  readonly storage: StorageAccess;
  /** The host that the disks are read on. */
  readonly host: string;
  readonly run: RunRecord;
  /** The attempts of runs that have not ended: what others have left belongs to nobody. */
  readonly known: ReadonlySet<string>;
}

/** How long it may take to let go of what a cancelled call holds, in milliseconds. */
const releaseTimeoutMs = 60_000;

/** A context for what has to be done although the call was cancelled. */
export function releaseContext(parent: OperationContext): OperationContext {
  const { logger, clock, random } = parent;
  return createOperationContext({ timeoutMs: releaseTimeoutMs, tenant: parent.tenant }, { logger, clock, random });
}

/** Removes what a run has at storage providers: attachments, snapshots, and checkpoints that no point begins from. Repeating it is a success. */
export async function releaseRun(options: ReleaseRunOptions, context: OperationContext): Promise<void> {
  const { storage, run, host } = options;
  for (const [i, disk] of run.input.disks.entries()) {
    if ((await storage.findVolume(disk.storage, disk.volumeId, context)) === undefined) continue;
    const plan = run.taken?.disks[i];
    if (disk.generation !== undefined && plan?.snapshotId === undefined) {
      const { volumeId, generation } = disk;
      await storage.patiently(context, () =>
        storage.get(disk.storage).detachVolume({ volumeId, host, generation }, context),
      );
    }
    await removeSnapshots(options, disk, context);
    await removeCheckpoints(options, disk, context);
  }
}

/** Removes a volume's snapshots that this run took, or that a run of this repository left that is not known any more. */
async function removeSnapshots(options: ReleaseRunOptions, disk: BackupDisk, context: OperationContext): Promise<void> {
  const { repository, storage, host, run, known } = options;
  const facet = await storage.facet(disk.storage, "snapshots", context);
  if (facet.operations === undefined) return;
  const snapshots = facet.operations;
  const found = await storage.listSnapshots(disk.storage, disk.volumeId, context);
  const ours = found.filter(
    ({ owner }) =>
      owner?.datacenter === `vdc-backup-${repository.id}` && (owner.uid === run.attempt || !known.has(owner.uid)),
  );
  if (ours.length === 0) return;
  for (const { snapshotId } of ours) {
    await storage.patiently(context, () => snapshots.detachSnapshot({ snapshotId, host }, context));
  }
  const groupSnapshotId = await groupOf(options, disk, context);
  if (groupSnapshotId !== undefined) {
    const groups = await storage.need(disk.storage, "groupSnapshots", context);
    for (const other of run.input.disks.filter((each) => each.storage === disk.storage)) {
      for (const { snapshotId, owner } of await storage.listSnapshots(other.storage, other.volumeId, context)) {
        if (owner?.uid !== run.attempt) continue;
        await storage.patiently(context, () => snapshots.detachSnapshot({ snapshotId, host }, context));
      }
    }
    await storage.patiently(context, () => groups.deleteGroupSnapshot({ groupSnapshotId }, context));
  }
  for (const { snapshotId } of ours) {
    await storage.patiently(context, () => snapshots.deleteSnapshot({ snapshotId }, context));
  }
}

/** The group that a run's snapshots of a provider are in. One whose id was not recorded is had by its name: a repeated create returns it. */
async function groupOf(
  { repository, storage, run }: ReleaseRunOptions,
  disk: BackupDisk,
  context: OperationContext,
): Promise<string | undefined> {
  const disks = run.input.disks.filter((each) => each.storage === disk.storage);
  if (run.taken !== undefined) {
    return run.taken.disks[run.input.disks.findIndex(({ diskId }) => diskId === disk.diskId)]?.groupSnapshotId;
  }
  if (disks.length < 2) return undefined;
  const groups = await storage.facet(disk.storage, "groupSnapshots", context);
  if (groups.operations === undefined) return undefined;
  const owner = (await storage.listSnapshots(disk.storage, disk.volumeId, context)).find(
    (snapshot) => snapshot.owner?.uid === run.attempt,
  )?.owner;
  if (owner === undefined) return undefined;
  const { moment: name } = namesOf(repository, run);
  const volumeIds = disks.map(({ volumeId }) => volumeId);
  try {
    return (await groups.operations.createGroupSnapshot({ name, volumeIds, owner }, context)).groupSnapshotId;
  } catch (error) {
    // A volume of the group is gone: its snapshots are removed one by one.
    if (isVdcError(error, "NOT_FOUND") || isVdcError(error, "ALREADY_EXISTS")) return undefined;
    throw error;
  }
}

/** Removes checkpoints of this repository's that nothing begins from: those of the newest point of each subject stay. */
async function removeCheckpoints(
  { repository, storage, run }: ReleaseRunOptions,
  disk: BackupDisk,
  context: OperationContext,
): Promise<void> {
  const facet = await storage.facet(disk.storage, "changedBlocks", context);
  if (facet.operations === undefined) return;
  const changes = facet.operations;
  const { prefix } = namesOf(repository, run);
  const needed = new Set<string>();
  for (const [, points] of Map.groupBy(repository.points.list(), ({ point }) => point.subject)) {
    const newest = points.findLast(({ point }) =>
      point.disks.some((each) => each.storage === disk.storage && each.volumeId === disk.volumeId),
    );
    for (const { checkpoint } of newest?.contents ?? []) if (checkpoint !== undefined) needed.add(checkpoint.id);
  }
  for (const { checkpoint, name } of await changes.listCheckpoints({ volumeId: disk.volumeId }, context)) {
    if (!name.startsWith(prefix) || needed.has(checkpoint)) continue;
    const { volumeId } = disk;
    await storage.patiently(context, () => changes.deleteCheckpoint({ volumeId, checkpoint }, context));
  }
}
