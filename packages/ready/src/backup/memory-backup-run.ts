import { createOperationContext, type OperationContext, VdcError } from "@vdc-os/core";
import type { BackupDisk, CreateRecoveryPoint, RecoveryPoint, RecoveryPointDisk } from "@vdc-os/core/backup/v1";
import type { BackupStorage } from "./backup-instance.ts";
import type { MemoryBackupRepository } from "./memory-backup-repository.ts";
import { hashOf, type MemoryRun, memoryChunkBytes, pointsOf } from "./memory-vault.ts";

/** Makes a point, or goes on with a run that was interrupted. */
export async function runBackup(
  repository: MemoryBackupRepository,
  input: CreateRecoveryPoint,
  context: OperationContext,
): Promise<RecoveryPoint> {
  const { vault } = repository;
  for (const { storage } of input.disks) repository.storage(storage);
  let run = vault.runs.get(input.subject);
  if (run !== undefined && !(run.input.name === input.name && sameDisks(run.input.disks, input.disks))) {
    await releaseRun(repository, run, context);
    run = undefined;
  }
  run ??= {
    input,
    startedAt: repository.now(),
    attempt: `memory-backup-${vault.nextId++}`,
    createdAt: undefined,
    consistency: "group",
    snapshotIds: [],
    groupSnapshotId: undefined,
    contents: input.disks.map(() => []),
    counts: input.disks.map(() => ({ readBytes: 0, newBytes: 0 })),
  };
  repository.assertGoing(context);
  vault.runs.set(input.subject, run);
  try {
    if (run.createdAt === undefined) await takeMoment(repository, run, context);
    const disks: RecoveryPointDisk[] = [];
    for (const [i, disk] of input.disks.entries()) disks.push(await readDisk(repository, { run, disk, i }, context));
    repository.assertGoing(context);
    const { name, subject, labels = {} } = input;
    const { createdAt = 0, consistency } = run;
    const recoveryPointId = `point-${vault.nextId++}`;
    const point = { recoveryPointId, name, subject, createdAt, consistency, disks, labels };
    vault.points.set(recoveryPointId, { point, contents: run.contents });
    return point;
  } finally {
    // Not with the caller's own context: whoever has given up is to be rid of it, too.
    if (!repository.isKilled) await repository.release(run, createOperationContext());
  }
}

/** Whether these are the same volumes under the same names. */
export function sameDisks(a: readonly Pick<BackupDisk, "diskId" | "storage" | "volumeId">[], b: typeof a): boolean {
  const text = (disks: typeof a) =>
    JSON.stringify(disks.map(({ diskId, storage, volumeId }) => [diskId, storage, volumeId]));
  return text(a) === text(b);
}

/** Removes what a run has at storage providers, and its record. */
export async function releaseRun(
  repository: MemoryBackupRepository,
  run: MemoryRun,
  context: OperationContext,
): Promise<void> {
  for (const [i, { storage, volumeId, generation }] of run.input.disks.entries()) {
    const { provider, host } = repository.storage(storage);
    const snapshotId = run.snapshotIds[i];
    if (snapshotId !== undefined) {
      await provider.facets?.snapshots?.detachSnapshot({ snapshotId, host }, context);
      if (run.groupSnapshotId === undefined) await provider.facets?.snapshots?.deleteSnapshot({ snapshotId }, context);
    } else if (generation !== undefined) await provider.detachVolume({ volumeId, host, generation }, context);
  }
  const { groupSnapshotId } = run;
  const { provider } = repository.storage(run.input.disks[0]?.storage ?? "");
  if (groupSnapshotId !== undefined) {
    await provider.facets?.groupSnapshots?.deleteGroupSnapshot({ groupSnapshotId }, context);
  }
  repository.vault.runs.delete(run.input.subject);
}

async function takeMoment(
  repository: MemoryBackupRepository,
  run: MemoryRun,
  context: OperationContext,
): Promise<void> {
  const { disks, subject, consistency = "group" } = run.input;
  const storages = disks.map(({ storage }) => repository.storage(storage));
  const attached: boolean[] = [];
  for (const [i, { volumeId, generation }] of disks.entries()) {
    const { provider } = storages[i] as BackupStorage;
    await provider.getVolume({ volumeId }, context);
    const { attachment } = await provider.getAttachment({ volumeId }, context);
    attached.push(attachment !== undefined && attachment.generation !== generation);
    if (provider.facets?.snapshots === undefined && (generation === undefined || attached[i])) {
      throw new VdcError(
        "FAILED_PRECONDITION",
        "without snapshots the volume must be nobody's, and a generation named",
      );
    }
  }
  const [first] = storages;
  const groups = first?.provider.facets?.groupSnapshots;
  const isOne = new Set(storages).size === 1 && groups !== undefined;
  if (disks.length > 1 && !isOne && attached.includes(true)) {
    if (consistency === "group") throw new VdcError("FAILED_PRECONDITION", "the disks can't be had of one moment");
    run.consistency = "perDisk";
  }
  repository.assertGoing(context);
  const last = pointsOf(repository.vault, subject).at(-1)?.point.createdAt ?? 0;
  const createdAt = Math.max(repository.now(), last + 1);
  if (disks.length > 1 && isOne) {
    const volumeIds = disks.map(({ volumeId }) => volumeId);
    const group = await groups.createGroupSnapshot({ name: run.attempt, volumeIds }, context);
    run.groupSnapshotId = group.groupSnapshotId;
    run.snapshotIds = volumeIds.map((id) => group.snapshots.find(({ volumeId }) => volumeId === id)?.snapshotId);
  } else {
    for (const [i, { volumeId }] of disks.entries()) {
      const name = `${run.attempt}-${i}`;
      const taken = await storages[i]?.provider.facets?.snapshots?.createSnapshot({ name, volumeId }, context);
      run.snapshotIds.push(taken?.snapshotId);
    }
  }
  run.createdAt = createdAt;
}

async function readDisk(
  repository: MemoryBackupRepository,
  { run, disk, i }: { readonly run: MemoryRun; readonly disk: BackupDisk; readonly i: number },
  context: OperationContext,
): Promise<RecoveryPointDisk> {
  const storage = repository.storage(disk.storage);
  const { volumeId, diskId, generation = 1 } = disk;
  const { provider, host } = storage;
  const snapshotId = run.snapshotIds[i];
  const access = "readOnly";
  const transport =
    snapshotId === undefined
      ? (await provider.attachVolume({ volumeId, host, access, generation }, context)).transport
      : await snapshotTransport(storage, snapshotId, context);
  const { capacityBytes } = await provider.getVolume({ volumeId }, context);
  const client = await storage.openTransport(transport);
  const content = run.contents[i] ?? [];
  const count = run.counts[i] ?? { readBytes: 0, newBytes: 0 };
  for (let at = content.length * memoryChunkBytes; at < capacityBytes; at += memoryChunkBytes) {
    const chunk = await client.read(at, Math.min(memoryChunkBytes, capacityBytes - at));
    await repository.step(context);
    const hash = hashOf(chunk);
    count.readBytes += chunk.length;
    if (hash !== "" && !repository.vault.chunks.has(hash)) {
      repository.vault.chunks.set(hash, chunk);
      count.newBytes += chunk.length;
    }
    content.push(hash);
    context.progress({ fraction: at / capacityBytes, message: `disk '${diskId}'` });
  }
  await client.close();
  const before = pointsOf(repository.vault, run.input.subject).some(({ point }) =>
    point.disks.some((each) => each.volumeId === volumeId && each.storage === disk.storage),
  );
  const reading = before && run.input.mode !== "full" ? ("compared" as const) : ("full" as const);
  const because = "the reference does not ask what has changed";
  const data = content.map((hash) => repository.vault.chunks.get(hash)?.length ?? 0);
  const dataBytes = data.reduce((sum, bytes) => sum + bytes, 0);
  const { newBytes, readBytes } = count;
  const facts = { capacityBytes, dataBytes, reading, because, readBytes, newBytes, storedBytes: newBytes };
  return { diskId, storage: disk.storage, volumeId, ...facts };
}

async function snapshotTransport({ provider, host }: BackupStorage, snapshotId: string, context: OperationContext) {
  const attached = await provider.facets?.snapshots?.attachSnapshot({ snapshotId, host }, context);
  if (attached === undefined) throw new VdcError("INTERNAL", "snapshots were there a moment ago");
  return attached.transport;
}
