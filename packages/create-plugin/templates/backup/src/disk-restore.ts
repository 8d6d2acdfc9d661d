import { isDeepStrictEqual } from "node:util";
import { isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { RestoredDisk, RestoreTarget } from "@vdc-os/core/backup/v1";
import { chunkBytes, type DiskContent, type RestoreRecord } from "./memory-vault.ts";
import type { Workshop } from "./workshop.ts";

/** What is restored, and where to. */
export interface DiskRestore {
  readonly recoveryPointId: string;
  readonly diskId: string;
  readonly target: RestoreTarget;
}

/** Restores one disk, goes on with a restore that was interrupted, or returns what one that ended returned. */
export async function restoreDisk(
  workshop: Workshop,
  asked: DiskRestore,
  context: OperationContext,
): Promise<RestoredDisk> {
  const { vault, storages } = workshop;
  const { recoveryPointId, diskId, target } = asked;
  const { point, contents } = vault.get(recoveryPointId);
  const at = point.disks.findIndex((disk) => disk.diskId === diskId);
  const disk = point.disks[at];
  if (disk === undefined) throw new VdcError("NOT_FOUND", `point '${point.name}' has no disk '${diskId}'`);
  const { capacityBytes, dataBytes } = disk;
  const { storage } = target;
  const provider = storages.get(storage);

  const before = vault.restores.get(keyOf(target));
  const isRepeated = before !== undefined && isDeepStrictEqual(askedOf(before), askedOf(asked));
  if (before?.done !== undefined && isRepeated && (await isThere(workshop, before.done, context))) return before.done;
  if (before !== undefined && before.done === undefined && !isRepeated) await takeBack(workshop, before);
  const interrupted = before?.done === undefined && isRepeated ? before : undefined;
  if (interrupted === undefined) await refuseUnlessFree(workshop, target, capacityBytes, context);
  workshop.mustGoOn(context);
  const fresh: RestoreRecord = { ...askedOf(asked), volumeId: undefined, generation: 0, done: undefined };
  const record = interrupted ?? fresh;
  vault.restores.set(keyOf(target), record);
  try {
    if (target.kind === "new") {
      const { name, parameters } = target;
      const asked = { name, capacityBytes, ...(parameters === undefined ? {} : { parameters }) };
      record.volumeId = (await provider.createVolume(asked, context)).volumeId;
      record.generation += 1;
    } else {
      record.volumeId = target.volumeId;
      record.generation = target.generation;
    }
    await writeContent(workshop, record, { content: contents[at] ?? [], capacityBytes }, context);
    const { volumeId, generation } = record;
    record.done = { diskId, storage, volumeId, capacityBytes, generation, writtenBytes: dataBytes };
    return record.done;
  } catch (error) {
    if (workshop.isOpen()) await takeBack(workshop, record);
    throw error;
  }
}

/** Detaches the volume of a restore that did not end well, and removes it if it was made for that. Whoever has given up is to be rid of it too: so it has a context of its own. */
export async function takeBack({ vault, storages, host }: Workshop, record: RestoreRecord): Promise<void> {
  const { target, volumeId, generation } = record;
  const provider = storages.get(target.storage);
  if (volumeId !== undefined) {
    await provider.detachVolume({ volumeId, host, generation });
    if (target.kind === "new") await provider.deleteVolume({ volumeId });
  }
  vault.restores.delete(keyOf(target));
}

/** What a target is known by. */
export function keyOf(target: RestoreTarget): string {
  return JSON.stringify([target.kind, target.storage, target.kind === "new" ? target.name : target.volumeId]);
}

function askedOf({ recoveryPointId, diskId, target }: DiskRestore): DiskRestore {
  return { recoveryPointId, diskId, target };
}

async function isThere(
  { storages }: Workshop,
  { storage, volumeId }: RestoredDisk,
  context: OperationContext,
): Promise<boolean> {
  try {
    await storages.get(storage).getVolume({ volumeId }, context);
    return true;
  } catch (error) {
    if (isVdcError(error, "NOT_FOUND")) return false;
    throw error;
  }
}

/** Throws when there is something in the way at the target. */
async function refuseUnlessFree(
  { storages }: Workshop,
  target: RestoreTarget,
  capacityBytes: number,
  context: OperationContext,
): Promise<void> {
  const provider = storages.get(target.storage);
  if (target.kind === "new") {
    const { name } = target;
    const { items } = await provider.listVolumes({ name }, context);
    if (items.length > 0) throw new VdcError("ALREADY_EXISTS", `there is a volume '${name}'`);
    return;
  }
  const { volumeId } = target;
  const volume = await provider.getVolume({ volumeId }, context);
  if (volume.capacityBytes < capacityBytes) {
    throw new VdcError("OUT_OF_RANGE", `volume '${volume.name}' is smaller than the disk's ${capacityBytes} bytes`);
  }
  const { attachment } = await provider.getAttachment({ volumeId }, context);
  if (attachment !== undefined) {
    throw new VdcError("FAILED_PRECONDITION", `volume '${volume.name}' is attached to host '${attachment.host}'`);
  }
}

/** Writes a disk, attached meanwhile, so that nobody else can. */
async function writeContent(
  workshop: Workshop,
  { diskId, target, volumeId = "", generation }: RestoreRecord,
  { content, capacityBytes }: { readonly content: DiskContent; readonly capacityBytes: number },
  context: OperationContext,
): Promise<void> {
  const { vault, storages, host } = workshop;
  const provider = storages.get(target.storage);
  const { transport } = await provider.attachVolume({ volumeId, host, access: "readWrite", generation }, context);
  const client = await vault.openDisk(transport, target.storage);
  try {
    for (const [at, hash] of content.entries()) {
      const offset = at * chunkBytes;
      const chunk = hash === "" ? new Uint8Array(Math.min(chunkBytes, capacityBytes - offset)) : vault.chunk(hash);
      await workshop.step(context);
      // A new volume is zeroes already.
      if (hash !== "" || target.kind === "volume") await client.write(offset, chunk);
      context.progress({ fraction: offset / capacityBytes, message: `disk '${diskId}'` });
    }
    await client.flush();
  } finally {
    await client.close();
  }
  workshop.mustGoOn(context);
  await provider.detachVolume({ volumeId, host, generation }, context);
}
