import type { Volume } from "@vdc-os/core/storage/v1";
import type { KnownVolume } from "./clone-services.ts";

/** A volume as callers see it: under their name, with their stamp, and with the parent that is recorded here. */
export function volumeView({ record, volume, keptForItBytes = 0 }: KnownVolume): Volume {
  const { parent, owner: _, ...seen } = volume;
  const { request, parentVolumeId, parentSnapshotId, madeBelow } = record;
  const shown: Pick<Volume, "parent"> =
    parentSnapshotId !== undefined
      ? { parent: { kind: "snapshot", snapshotId: parentSnapshotId } }
      : parentVolumeId !== undefined
        ? { parent: { kind: "volume", volumeId: parentVolumeId } }
        : madeBelow !== undefined && parent !== undefined
          ? { parent }
          : {};
  return {
    ...seen,
    name: record.name,
    exclusiveBytes: volume.exclusiveBytes + keptForItBytes,
    ...(request.owner === undefined ? {} : { owner: request.owner }),
    ...shown,
  };
}
