import { mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { syncPath, writeNewFile } from "./durable-file.ts";
import { imageName, isVolumeId, layerName, type PoolLayout, recordName } from "./pool-layout.ts";
import { formatRecord, type VolumeRecord } from "./volume-record.ts";

/** How a folder is filled and made to last. */
export interface NewVolumeFolder {
  readonly record: VolumeRecord;
  /** Makes the image at a path, and makes its content durable. */
  readonly write: (imagePath: string) => Promise<void>;
  /** Makes the names of the volumes' folders durable. */
  readonly syncNames: () => Promise<void>;
}

/** Makes a volume's folder, which is whole and on disk when it appears under its name. When that fails, nothing of it stays. */
export async function makeVolumeFolder(layout: PoolLayout, volume: NewVolumeFolder): Promise<void> {
  const { record, write, syncNames } = volume;
  const [folder, place] = [layout.incoming(record.volumeId), layout.volume(record.volumeId)];
  try {
    mkdirSync(folder, { mode: 0o700 });
    // Both have ended when one has failed: the folder could not be removed under the other.
    const written = write(join(folder, imageName));
    const recorded = writeNewFile(join(folder, recordName), formatRecord(record));
    const settled = await Promise.allSettled([written, recorded]);
    for (const result of settled) if (result.status === "rejected") throw result.reason;
    await syncPath(folder);
    renameSync(folder, place);
    try {
      await syncNames();
    } catch (error) {
      await rename(place, folder);
      throw error;
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Takes a volume's folder out of sight, into the trash. Tells whether there was one. */
export function discardVolumeFolder(layout: PoolLayout, volumeId: string): boolean {
  try {
    renameSync(layout.volume(volumeId), layout.discarded(volumeId));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/** Removes what a call that a kill cut short left in a volume's folder. */
export function removeOrphans(
  layout: PoolLayout,
  { volumeId, snapshots = [], checkpoints = [], pending }: VolumeRecord,
): void {
  const known = new Set([
    ...snapshots.map(({ snapshotId }) => layerName(snapshotId)),
    ...(pending?.kind === "snapshot" ? [layerName(pending.snapshot.snapshotId)] : []),
    ...checkpoints.map(({ checkpoint }) => basename(layout.changes(volumeId, checkpoint))),
  ]);
  for (const name of readdirSync(layout.volume(volumeId))) {
    const [id = "", kind] = name.split(".");
    if (!isVolumeId(id) || (kind !== "qcow2" && kind !== "changes") || known.has(name)) continue;
    rmSync(join(layout.volume(volumeId), name), { force: true });
  }
}
