import { isDeepStrictEqual } from "node:util";
import { createOperationContext, type OperationContext, VdcError } from "@vdc-os/core";
import type { RestoredDisk, RestoreTarget } from "@vdc-os/core/backup/v1";
import type { MemoryBackupRepository } from "./memory-backup-repository.ts";
import { hashOf, type MemoryPoint, type MemoryRestore, memoryChunkBytes, targetKey } from "./memory-vault.ts";

/** Restores one disk, goes on with a restore that was interrupted, or returns what one returned. */
export async function restoreDisk(
  repository: MemoryBackupRepository,
  { from, diskId, target }: { readonly from: MemoryPoint; readonly diskId: string; readonly target: RestoreTarget },
  context: OperationContext,
): Promise<RestoredDisk> {
  const { vault } = repository;
  const { recoveryPointId } = from.point;
  const { provider } = repository.storage(target.storage);
  const i = from.point.disks.findIndex((disk) => disk.diskId === diskId);
  const disk = from.point.disks[i];
  if (disk === undefined) throw new VdcError("NOT_FOUND", `the point has no disk '${diskId}'`);
  const { capacityBytes } = disk;
  let record = vault.restores.get(targetKey(target));
  const isSame = isDeepStrictEqual(
    [record?.recoveryPointId, record?.diskId, record?.target],
    [recoveryPointId, diskId, target],
  );
  if (record?.done !== undefined) {
    const { volumeId } = record.done;
    const { items } = await provider.listVolumes({}, context);
    if (isSame && items.some((volume) => volume.volumeId === volumeId)) return record.done;
    record = undefined;
  } else if (record !== undefined && !isSame) {
    await takeBack(repository, record, context);
    record = undefined;
  }
  repository.assertGoing(context);
  if (target.kind === "new" && record === undefined) {
    const { items } = await provider.listVolumes({ name: target.name }, context);
    if (items.length > 0) throw new VdcError("ALREADY_EXISTS", `there is a volume '${target.name}'`);
  }
  if (target.kind === "volume") {
    const volume = await provider.getVolume({ volumeId: target.volumeId }, context);
    if (volume.capacityBytes < capacityBytes) throw new VdcError("OUT_OF_RANGE", "the volume is too small");
    const { attachment } = await provider.getAttachment({ volumeId: target.volumeId }, context);
    if (attachment !== undefined && record === undefined) {
      throw new VdcError("FAILED_PRECONDITION", `it is attached to '${attachment.host}'`);
    }
  }
  repository.assertGoing(context);
  record ??= { recoveryPointId, diskId, target, volumeId: undefined, generation: 0, done: undefined };
  vault.restores.set(targetKey(target), record);
  try {
    record.volumeId = target.kind === "volume" ? target.volumeId : record.volumeId;
    if (target.kind === "new") {
      const { name, parameters } = target;
      const more = parameters === undefined ? {} : { parameters };
      record.volumeId = (await provider.createVolume({ name, capacityBytes, ...more }, context)).volumeId;
    }
    record.generation = target.kind === "new" ? record.generation + 1 : target.generation;
    await writeContent(repository, { record, content: from.contents[i] ?? [], capacityBytes }, context);
    const { generation, volumeId = "" } = record;
    const { storage } = target;
    record.done = { diskId, storage, volumeId, capacityBytes, generation, writtenBytes: disk.dataBytes };
    return record.done;
  } catch (error) {
    // Not with the caller's own context: whoever has given up is to be rid of it, too.
    if (!repository.isKilled) await repository.takeBack(record, createOperationContext());
    throw error;
  }
}

/** Detaches a volume that a restore did not end with, and removes one that it made. */
export async function takeBack(
  repository: MemoryBackupRepository,
  { target, volumeId, generation }: MemoryRestore,
  context: OperationContext,
): Promise<void> {
  const { provider, host } = repository.storage(target.storage);
  if (volumeId !== undefined) {
    await provider.detachVolume({ volumeId, host, generation }, context);
    if (target.kind === "new") await provider.deleteVolume({ volumeId }, context);
  }
  repository.vault.restores.delete(targetKey(target));
}

async function writeContent(
  repository: MemoryBackupRepository,
  work: { readonly record: MemoryRestore; readonly content: readonly string[]; readonly capacityBytes: number },
  context: OperationContext,
): Promise<void> {
  const { record, content, capacityBytes } = work;
  const storage = repository.storage(record.target.storage);
  const { provider, host } = storage;
  const { volumeId = "", generation } = record;
  const owner = { volumeId, host, generation };
  const { transport } = await provider.attachVolume({ ...owner, access: "readWrite" }, context);
  const client = await storage.openTransport(transport);
  for (const [n, hash] of content.entries()) {
    const at = n * memoryChunkBytes;
    const size = Math.min(memoryChunkBytes, capacityBytes - at);
    const chunk = hash === "" ? new Uint8Array(size) : repository.chunk(hash);
    await repository.step(context);
    if (hash !== "" || record.target.kind === "volume") await client.write(at, chunk);
    context.progress({ fraction: at / capacityBytes, message: `disk '${record.diskId}'` });
  }
  await client.flush();
  await client.close();
  repository.assertGoing(context);
  await provider.detachVolume(owner, context);
}

/** Whether a chunk is what its hash says. */
export function isWell(chunk: Uint8Array | undefined, hash: string): boolean {
  return chunk !== undefined && hashOf(chunk) === hash;
}
