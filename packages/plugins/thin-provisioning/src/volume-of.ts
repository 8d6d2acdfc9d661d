import type { Volume } from "@vdc-os/core/storage/v1";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** A volume as the contract shows it. */
export function volumeOf(pool: ThinPool, entry: VolumeEntry): Volume {
  const { volumeId, name, capacityBytes, createdAt, request, parentVolumeId, parentSnapshotId } = entry.record;
  const allocatedBytes = pool.allocatedBytes(entry);
  // The pool may reach fewer hosts than when the volume was made.
  const accessibleHosts =
    request.accessibleHosts?.filter((host) => pool.accessibleHosts?.includes(host) !== false) ?? pool.accessibleHosts;
  return {
    volumeId,
    name,
    capacityBytes,
    allocatedBytes,
    // What others read from is given back only when they are gone.
    exclusiveBytes: entry.children.size > 0 || entry.snapshotChildren.size > 0 ? 0 : allocatedBytes,
    createdAt,
    ...(request.owner === undefined ? {} : { owner: request.owner }),
    ...parentOf(parentVolumeId, parentSnapshotId),
    ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
    parameters: request.parameters ?? {},
  };
}

function parentOf(volumeId: string | undefined, snapshotId: string | undefined): Pick<Volume, "parent"> {
  if (volumeId === undefined) return {};
  return { parent: snapshotId === undefined ? { kind: "volume", volumeId } : { kind: "snapshot", snapshotId } };
}
