import { type OperationContext, type OwnerStamp, VdcError } from "@vdc-os/core";
import type { BackupDisk } from "@vdc-os/core/backup/v1";
import type { Snapshot } from "@vdc-os/core/storage/v1";
import type { Repository } from "../repository/repository.ts";
import { planDisk, type Reading } from "./plan-disk.ts";
import type { DiskPlan, RunRecord } from "./run-record.ts";
import type { StorageAccess } from "./storage-access.ts";

/** What a moment is taken with. */
export interface TakeMomentOptions {
  readonly repository: Repository;
  readonly storage: StorageAccess;
  readonly run: RunRecord;
}

type Moment = NonNullable<RunRecord["taken"]>;

/** Names of what a run makes at storage providers. All begin with the repository's id, and end with the attempt's. */
export function namesOf(repository: Repository, run: RunRecord): { readonly prefix: string; readonly moment: string } {
  const prefix = `vdc-backup-${repository.id.slice(0, 8)}-`;
  return { prefix, moment: `${prefix}${run.attempt}` };
}

/** The stamp on what a run makes at storage providers. */
export function stampOf(repository: Repository, run: RunRecord, tenant: string): OwnerStamp {
  const { subject } = run.input;
  return { datacenter: `vdc-backup-${repository.id}`, tenant, kind: "RecoveryPoint", name: subject, uid: run.attempt };
}

/** Takes the disks' content of one moment. Repeating it with the same record returns the same. */
export async function takeMoment(options: TakeMomentOptions, context: OperationContext): Promise<Moment> {
  const { repository, storage, run } = options;
  const { disks, subject } = run.input;
  const { moment: name } = namesOf(repository, run);
  const volumes = await Promise.all(
    disks.map(({ storage: provider, volumeId }) => storage.get(provider).getVolume({ volumeId }, context)),
  );
  const how = await howToTake(options, context);
  const readings: Reading[] = [];
  for (const [i, disk] of disks.entries()) {
    const { capacityBytes } = volumes[i] as { readonly capacityBytes: number };
    const plan = { input: run.input, disk, capacityBytes, checkpointName: name, points: repository.points, storage };
    readings.push(await planDisk(plan, context));
  }
  // Points of a subject are told apart and ordered by their moment.
  const last = repository.points.list(subject).at(-1)?.point.createdAt ?? 0;
  const createdAt = Math.max(context.clock.now(), last + 1);
  const snapshots = await takeSnapshots(options, how, context);
  const plans = disks.map((disk, i): DiskPlan => {
    const taken = snapshots.get(disk.diskId);
    const reading = readings[i] as Reading;
    const capacityBytes = taken?.snapshot.capacityBytes ?? volumes[i]?.capacityBytes ?? 0;
    if (taken === undefined) return { ...reading, capacityBytes };
    const { snapshot, groupSnapshotId } = taken;
    const group = groupSnapshotId === undefined ? {} : { groupSnapshotId };
    return { ...reading, capacityBytes, snapshotId: snapshot.snapshotId, ...group };
  });
  if (how.mustStayDetached) await assertDetached(storage, disks, context);
  return { createdAt, consistency: how.consistency, disks: plans };
}

interface HowToTake {
  readonly consistency: "group" | "perDisk";
  /** The disks of each provider that are had of one moment together, or one by one. */
  readonly sets: readonly {
    readonly storage: string;
    readonly disks: readonly BackupDisk[];
    readonly grouped: boolean;
  }[];
  readonly mustStayDetached: boolean;
}

/** How the disks can be had. Fails with `FAILED_PRECONDITION` where they can't be had as they are asked for. */
async function howToTake({ storage, run }: TakeMomentOptions, context: OperationContext): Promise<HowToTake> {
  const { disks, subject, consistency = "group" } = run.input;
  const sets: { storage: string; disks: BackupDisk[]; grouped: boolean }[] = [];
  let why = "they are on several storage providers";
  for (const [provider, own] of Map.groupBy(disks, (disk) => disk.storage)) {
    const snapshots = await storage.facet(provider, "snapshots", context);
    if (snapshots.operations === undefined) {
      assertGeneration(own, provider, snapshots.reason);
      await assertDetached(storage, own, context);
      continue;
    }
    let grouped = false;
    if (own.length > 1) {
      const group = await storage.facet(provider, "groupSnapshots", context);
      grouped = group.operations !== undefined;
      if (group.operations === undefined) why = `storage '${provider}' has no group snapshots: ${group.reason}`;
    }
    sets.push({ storage: provider, disks: own, grouped });
  }
  if (disks.length === 1) return { consistency: "group", sets, mustStayDetached: false };
  const [only] = sets;
  if (sets.length === 1 && only?.grouped === true && only.disks.length === disks.length) {
    return { consistency: "group", sets, mustStayDetached: false };
  }
  const attached = await attachedDisks(storage, disks, context);
  if (attached.length === 0) return { consistency: "group", sets, mustStayDetached: true };
  if (consistency === "perDisk") return { consistency, sets, mustStayDetached: false };
  throw new VdcError(
    "FAILED_PRECONDITION",
    `the disks of '${subject}' are in use and can't be had of one moment: ${why}; detach them, or ask for consistency 'perDisk'`,
    { reason: "VDC_BACKUP_NOT_OF_ONE_MOMENT", blockers: attached },
  );
}

async function takeSnapshots(
  { repository, storage, run }: TakeMomentOptions,
  how: HowToTake,
  context: OperationContext,
): Promise<Map<string, { readonly snapshot: Snapshot; readonly groupSnapshotId?: string }>> {
  const { moment: name } = namesOf(repository, run);
  const owner = stampOf(repository, run, context.tenant);
  const taken = new Map<string, { readonly snapshot: Snapshot; readonly groupSnapshotId?: string }>();
  for (const set of how.sets) {
    if (set.grouped) {
      const groups = await storage.need(set.storage, "groupSnapshots", context);
      const volumeIds = set.disks.map(({ volumeId }) => volumeId);
      const group = await storage.patiently(context, () =>
        groups.createGroupSnapshot({ name, volumeIds, owner }, context),
      );
      for (const { diskId, volumeId } of set.disks) {
        const snapshot = group.snapshots.find((each) => each.volumeId === volumeId);
        if (snapshot === undefined) {
          throw new VdcError("INTERNAL", `group snapshot '${name}' of storage '${set.storage}' has no '${volumeId}'`);
        }
        taken.set(diskId, { snapshot, groupSnapshotId: group.groupSnapshotId });
      }
      continue;
    }
    const snapshots = await storage.need(set.storage, "snapshots", context);
    for (const { diskId, volumeId } of set.disks) {
      const index = run.input.disks.findIndex((disk) => disk.diskId === diskId);
      const snapshot = await storage.patiently(context, () =>
        snapshots.createSnapshot({ name: `${name}-${index}`, volumeId, owner }, context),
      );
      taken.set(diskId, { snapshot });
    }
  }
  return taken;
}

function assertGeneration(disks: readonly BackupDisk[], provider: string, reason: string): void {
  const without = disks.find(({ generation }) => generation === undefined);
  if (without === undefined) return;
  throw new VdcError(
    "FAILED_PRECONDITION",
    `disk '${without.diskId}' is on storage '${provider}', which has no snapshots (${reason}): its volume has to be attached for a backup, so detach it, and name the generation to attach it with`,
    { reason: "VDC_BACKUP_NEEDS_SNAPSHOTS" },
  );
}

async function attachedDisks(
  storage: StorageAccess,
  disks: readonly BackupDisk[],
  context: OperationContext,
): Promise<readonly { readonly kind: string; readonly name: string }[]> {
  const attached: { readonly kind: string; readonly name: string }[] = [];
  for (const { storage: provider, volumeId, generation } of disks) {
    const { attachment } = await storage.get(provider).getAttachment({ volumeId }, context);
    const ours = attachment !== undefined && attachment.generation === generation;
    if (attachment?.access === "readWrite" && !ours) attached.push({ kind: "Volume", name: volumeId });
  }
  return attached;
}

async function assertDetached(
  storage: StorageAccess,
  disks: readonly BackupDisk[],
  context: OperationContext,
): Promise<void> {
  const blockers = await attachedDisks(storage, disks, context);
  if (blockers.length === 0) return;
  throw new VdcError(
    "FAILED_PRECONDITION",
    `volume '${blockers[0]?.name}' is attached: without snapshots of all disks together they are backed up while nobody uses them`,
    { reason: "VDC_BACKUP_NEEDS_SNAPSHOTS", blockers },
  );
}
