import { statSync } from "node:fs";
import type { OperationContext } from "@vdc-os/core";
import type { Snapshot } from "@vdc-os/core/storage/v1";
import { backingFolder, type Extent, type Qcow2Image } from "@vdc-os/qcow2";
import { layersOn } from "./layer-tree.ts";
import { layersBelow } from "./no-backing.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** A snapshot as the contract shows it. */
export async function snapshotOf(
  pool: ThinPool,
  { entry, snapshot }: { readonly entry: VolumeEntry; readonly snapshot: SnapshotRecord },
  context: OperationContext,
): Promise<Snapshot> {
  const { snapshotId, name, capacityBytes, createdAt, owner, group } = snapshot;
  return {
    snapshotId,
    name,
    volumeId: entry.volumeId,
    capacityBytes,
    exclusiveBytes: await exclusiveBytesOf(pool, { entry, snapshotId }, context),
    createdAt,
    ready: true,
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { groupSnapshotId: group }),
  };
}

/**
 * What deleting a snapshot would give back: what its layer holds and the one image on it holds as well. Nothing while several lie on it. While a volume is being
 * written it is as of the last flush.
 */
async function exclusiveBytesOf(
  { images, layout }: ThinPool,
  { entry, snapshotId }: { readonly entry: VolumeEntry; readonly snapshotId: string },
  context: OperationContext,
): Promise<number> {
  const { volumeId } = entry;
  const above = layersOn(entry.record, snapshotId);
  if (above.length > 1 || entry.childrenOf(snapshotId).size > 0) return 0;
  const path = layout.layer(volumeId, snapshotId);
  const bytes = (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
  if (above.length === 0) return bytes;
  try {
    const options = { readOnly: true, lock: false } as const;
    const resolveBacking = layersBelow(1, backingFolder(layout.volumes));
    const upper = { ...options, snapshotId: above[0]?.snapshotId, resolveBacking };
    await using image = await images.open(entry, upper, context);
    await using layer = await images.open(entry, { ...options, snapshotId, resolveBacking: layersBelow(0) }, context);
    let needed = 0;
    for (const extent of dataOf(image, 1)) needed += extent.length;
    let held = 0;
    for (const extent of dataOf(layer, 0)) held += extent.length;
    return held === 0 ? 0 : Math.max(0, Math.round(bytes * (1 - needed / held)));
  } catch {
    // It is being changed under our eyes: better too little than a promise.
    return 0;
  }
}

const windowBytes = 2 ** 32;

/** The extents of data that one layer of a chain decides. */
function* dataOf(image: Qcow2Image, depth: number): Iterable<Extent> {
  for (let at = 0; at < image.sizeBytes; at += windowBytes) {
    for (const extent of image.map(at, Math.min(windowBytes, image.sizeBytes - at))) {
      if (extent.kind === "data" && extent.depth === depth) yield extent;
    }
  }
}
