import { VdcError } from "@vdc-os/core";
import { depthInVolume } from "./layer-tree.ts";
import type { VolumeCatalog } from "./volume-catalog.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** How many images a read may go through: the engine stops at 256. */
export const maxDepth = 250;

/** How many images a read of a volume, or of a snapshot of it, may go through. */
export function chainDepth(catalog: VolumeCatalog, entry: VolumeEntry, snapshotId?: string): number {
  let depth = depthInVolume(entry.record, snapshotId);
  let { parentVolumeId, parentSnapshotId } = entry.record;
  while (parentVolumeId !== undefined) {
    const parent = catalog.find(parentVolumeId);
    if (parent === undefined) break;
    depth += depthInVolume(parent.record, parentSnapshotId);
    ({ parentVolumeId, parentSnapshotId } = parent.record);
  }
  return depth;
}

/** How many images the deepest overlay of a volume adds to it. */
export function heightAbove(catalog: VolumeCatalog, entry: VolumeEntry): number {
  let height = 0;
  for (const volumeId of entry.children) {
    const child = catalog.find(volumeId);
    if (child !== undefined)
      height = Math.max(height, depthInVolume(child.record, undefined) + heightAbove(catalog, child));
  }
  return height;
}

/** Throws `FAILED_PRECONDITION` for a chain that the engine would not follow. */
export function assertDepth(depth: number, name: string): void {
  if (depth <= maxDepth) return;
  throw new VdcError("FAILED_PRECONDITION", `a chain of ${depth} images is too deep: copy volume '${name}' up first`, {
    reason: "VDC_CHAIN_TOO_DEEP",
    details: { depth, maxDepth },
  });
}
