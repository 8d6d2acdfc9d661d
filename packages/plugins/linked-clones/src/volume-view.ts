import type { Volume } from "@vdc-os/core/storage/v1";
import type { KnownVolume } from "./clone-engine.ts";

/** A volume as callers see it: under their name, with their stamp, and with the parent that is recorded here. */
export function volumeView({ record, volume }: KnownVolume): Volume {
  const { parent: _, owner: __, ...seen } = volume;
  const { request, parentVolumeId } = record;
  return {
    ...seen,
    name: record.name,
    ...(request.owner === undefined ? {} : { owner: request.owner }),
    ...(parentVolumeId === undefined ? {} : { parent: { kind: "volume", volumeId: parentVolumeId } }),
  };
}
