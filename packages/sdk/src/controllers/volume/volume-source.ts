import { VdcError } from "@vdc-os/core";
import type { VolumeSource } from "@vdc-os/core/storage/v1";
import { volumeSnapshotKind } from "../../kinds/volume-snapshot-spec.ts";
import { storageNameOf, type VolumeContent, volumeKind } from "../../kinds/volume-spec.ts";
import { isConditionTrue, readyCondition } from "../../resource/condition.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/** What a volume is cloned from, as its provider has it. */
export interface CloneSource {
  readonly storage: string;
  readonly source: VolumeSource;
  readonly capacityBytes: number;
}

/** The source of a clone; what it waits for, as text, while it is not ready. Throws `NOT_FOUND` when there is none. */
export async function cloneSourceOf(
  context: VolumeContext,
  object: VolumeObject,
  content: Extract<VolumeContent, { readonly kind: "clone" }>,
): Promise<CloneSource | string> {
  const { tenant, name } = object.metadata;
  const { signal } = context;
  const absent = (what: string): VdcError =>
    new VdcError("NOT_FOUND", `${what}, which '${name}' is to be cloned from, does not exist`);
  if ("snapshot" in content) {
    const snapshot = await context.store.find(volumeSnapshotKind, { tenant, name: content.snapshot }, { signal });
    if (snapshot === undefined) throw absent(`snapshot '${content.snapshot}'`);
    const { storage, snapshotId, capacityBytes = 0 } = snapshot.status;
    if (storage === undefined || snapshotId === undefined || !isConditionTrue(snapshot.conditions, readyCondition, 1)) {
      return `snapshot '${content.snapshot}' is not ready`;
    }
    return { storage, source: { kind: "snapshot", snapshotId }, capacityBytes };
  }
  const volume = await context.store.find(volumeKind, { tenant, name: content.volume }, { signal });
  if (volume === undefined) throw absent(`volume '${content.volume}'`);
  const storage = storageNameOf(volume);
  const { volumeId, capacityBytes = 0 } = volume.status;
  if (storage === undefined || volumeId === undefined || !isConditionTrue(volume.conditions, readyCondition, 1)) {
    return `volume '${content.volume}' is not ready`;
  }
  return { storage, source: { kind: "volume", volumeId }, capacityBytes };
}
