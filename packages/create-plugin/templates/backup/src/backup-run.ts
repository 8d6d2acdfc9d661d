import { type OperationContext, VdcError } from "@vdc-os/core";
import type { BackupDisk, CreateRecoveryPoint, RecoveryPoint, RecoveryPointDisk } from "@vdc-os/core/backup/v1";
import type { VolumeTransport } from "@vdc-os/core/storage/v1";
import { chunkBytes, type RunDisk, type RunRecord } from "./memory-vault.ts";
import type { Workshop } from "./workshop.ts";

/** Makes a point, or goes on with the run that was to make it. */
export async function backUp(
  workshop: Workshop,
  input: CreateRecoveryPoint,
  context: OperationContext,
): Promise<RecoveryPoint> {
  const { vault, storages } = workshop;
  const { name, subject, labels = {} } = input;
  // Fails with NOT_FOUND before anything is begun.
  for (const storage of storagesOf(input)) storages.get(storage);
  const interrupted = vault.runs.get(subject);
  if (interrupted !== undefined && !isOf(interrupted, input)) await release(workshop, interrupted);
  workshop.mustGoOn(context);
  // The record comes first, so that whatever is made at a provider has a name that is known.
  const run = vault.runs.get(subject) ?? newRun(input, context);
  vault.runs.set(subject, run);
  try {
    run.moment ??= await takeMoment(workshop, run, context);
    const disks: RecoveryPointDisk[] = [];
    for (const disk of run.disks) disks.push(await readDisk(workshop, run, disk, context));
    workshop.mustGoOn(context);
    const recoveryPointId = context.random.uuid();
    const point = { recoveryPointId, name, subject, ...run.moment, disks, labels };
    vault.points.set(recoveryPointId, { point, contents: run.disks.map(({ content }) => content) });
    return point;
  } finally {
    if (workshop.isOpen()) await release(workshop, run);
  }
}

/** Removes what a run has at storage providers, and its record. Whoever has given up is to be rid of it too: so it has a context of its own. */
export async function release({ vault, storages, host }: Workshop, run: RunRecord): Promise<void> {
  for (const { asked, snapshotId } of run.disks) {
    const { storage, volumeId, generation } = asked;
    const provider = storages.get(storage);
    if (snapshotId !== undefined) {
      const snapshots = await provider.facet("snapshots");
      if (!snapshots.available) continue;
      await snapshots.operations.detachSnapshot({ snapshotId, host });
      if (run.groupSnapshotId === undefined) await snapshots.operations.deleteSnapshot({ snapshotId });
    } else if (generation !== undefined) {
      await provider.detachVolume({ volumeId, host, generation });
    }
  }
  const { groupSnapshotId } = run;
  const [storage = ""] = storagesOf(run.input);
  if (groupSnapshotId !== undefined) {
    const groups = await storages.get(storage).facet("groupSnapshots");
    if (groups.available) await groups.operations.deleteGroupSnapshot({ groupSnapshotId });
  }
  vault.runs.delete(run.input.subject);
}

/** Whether these are the same volumes under the same names. */
export function isSameDisks(a: readonly BackupDisk[], b: readonly BackupDisk[]): boolean {
  const text = (disks: readonly BackupDisk[]) =>
    JSON.stringify(disks.map(({ diskId, storage, volumeId }) => [diskId, storage, volumeId]));
  return text(a) === text(b);
}

function isOf({ input }: RunRecord, { name, disks }: CreateRecoveryPoint): boolean {
  return input.name === name && isSameDisks(input.disks, disks);
}

function newRun(input: CreateRecoveryPoint, { clock, random }: OperationContext): RunRecord {
  const disks = input.disks.map(
    (asked): RunDisk => ({ asked, snapshotId: undefined, content: [], readBytes: 0, newBytes: 0 }),
  );
  const attempt = `backup-${random.uuid()}`;
  return { input, startedAt: clock.now(), attempt, disks, groupSnapshotId: undefined, moment: undefined };
}

/** The names of the storage that the disks are on. */
function storagesOf({ disks }: CreateRecoveryPoint): readonly string[] {
  return [...new Set(disks.map(({ storage }) => storage))];
}

/** Takes the snapshots, of one moment where that can be had. */
async function takeMoment(
  { vault, storages, clock }: Workshop,
  run: RunRecord,
  context: OperationContext,
): Promise<NonNullable<RunRecord["moment"]>> {
  const { disks, subject } = run.input;
  let isInUse = false;
  for (const { storage, volumeId, generation } of disks) {
    const provider = storages.get(storage);
    await provider.getVolume({ volumeId }, context);
    const { attachment } = await provider.getAttachment({ volumeId }, context);
    const isOthers = attachment !== undefined && attachment.generation !== generation;
    isInUse ||= isOthers;
    const snapshots = await provider.facet("snapshots");
    if (!snapshots.available && (isOthers || generation === undefined)) {
      const message = `'${storage}' has no snapshots: volume '${volumeId}' must be nobody's, and have a generation`;
      throw new VdcError("FAILED_PRECONDITION", message, { reason: "VDC_BACKUP_NEEDS_SNAPSHOTS" });
    }
  }
  const [storage = "", ...others] = storagesOf(run.input);
  const groups = await storages.get(storage).facet("groupSnapshots");
  const isGroup = disks.length > 1 && others.length === 0 && groups.available;
  const isOfOneMoment = disks.length === 1 || isGroup || !isInUse;
  if (!isOfOneMoment && run.input.consistency !== "perDisk") {
    const message = `the disks of '${subject}' can't be had of one moment: ask for the consistency 'perDisk'`;
    throw new VdcError("FAILED_PRECONDITION", message, { reason: "VDC_BACKUP_NOT_OF_ONE_MOMENT" });
  }
  const last = vault.pointsOf(subject).at(-1)?.point.createdAt ?? 0;
  const createdAt = Math.max(clock.now(), last + 1);
  if (isGroup) {
    const volumeIds = disks.map(({ volumeId }) => volumeId);
    const taken = await groups.operations.createGroupSnapshot({ name: run.attempt, volumeIds }, context);
    run.groupSnapshotId = taken.groupSnapshotId;
    for (const disk of run.disks) {
      disk.snapshotId = taken.snapshots.find(({ volumeId }) => volumeId === disk.asked.volumeId)?.snapshotId;
    }
  } else {
    for (const [at, disk] of run.disks.entries()) {
      const { storage, volumeId } = disk.asked;
      const snapshots = await storages.get(storage).facet("snapshots");
      if (!snapshots.available) continue;
      const name = `${run.attempt}-${at}`;
      disk.snapshotId = (await snapshots.operations.createSnapshot({ name, volumeId }, context)).snapshotId;
    }
  }
  return { createdAt, consistency: isOfOneMoment ? "group" : "perDisk" };
}

/** Reads what has not been read of a disk yet. */
async function readDisk(
  workshop: Workshop,
  run: RunRecord,
  disk: RunDisk,
  context: OperationContext,
): Promise<RecoveryPointDisk> {
  const { vault } = workshop;
  const { diskId, storage, volumeId } = disk.asked;
  const { transport, capacityBytes } = await attach(workshop, disk, context);
  const client = await vault.openDisk(transport, storage);
  try {
    for (let from = disk.content.length * chunkBytes; from < capacityBytes; from += chunkBytes) {
      const chunk = await client.read(from, Math.min(chunkBytes, capacityBytes - from));
      await workshop.step(context);
      const { hash, newBytes } = vault.put(chunk);
      disk.content.push(hash);
      disk.readBytes += chunk.length;
      disk.newBytes += newBytes;
      context.progress({ fraction: from / capacityBytes, message: `disk '${diskId}'` });
    }
  } finally {
    await client.close();
  }
  const hasPoint = vault
    .pointsOf(run.input.subject)
    .some(({ point }) => point.disks.some((other) => other.volumeId === volumeId && other.storage === storage));
  const { readBytes, newBytes } = disk;
  return {
    diskId,
    storage,
    volumeId,
    capacityBytes,
    dataBytes: disk.content.reduce((bytes, hash) => bytes + (vault.chunks.get(hash)?.length ?? 0), 0),
    reading: hasPoint && run.input.mode !== "full" ? "compared" : "full",
    because: "what has changed is not asked of the storage yet: the facet 'changedBlocks' knows it",
    readBytes,
    newBytes,
    storedBytes: newBytes,
  };
}

/** Attaches what is read: the snapshot, or else the volume. */
async function attach(
  { storages, host }: Workshop,
  { asked, snapshotId }: RunDisk,
  context: OperationContext,
): Promise<{ readonly transport: VolumeTransport; readonly capacityBytes: number }> {
  const { storage, volumeId, generation = 1 } = asked;
  const provider = storages.get(storage);
  const snapshots = await provider.facet("snapshots");
  if (snapshotId !== undefined && snapshots.available) {
    const { capacityBytes } = await snapshots.operations.getSnapshot({ snapshotId }, context);
    const { transport } = await snapshots.operations.attachSnapshot({ snapshotId, host }, context);
    return { transport, capacityBytes };
  }
  const { capacityBytes } = await provider.getVolume({ volumeId }, context);
  const { transport } = await provider.attachVolume({ volumeId, host, access: "readOnly", generation }, context);
  return { transport, capacityBytes };
}
