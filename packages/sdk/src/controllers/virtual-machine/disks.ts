import { VdcError } from "@vdc-os/core";
import { externalNameOf } from "../../journal/external-name.ts";
import type { ImageSpec } from "../../kinds/image-spec.ts";
import type { VmDiskSpec } from "../../kinds/virtual-machine-spec.ts";
import { type VolumeInput, volumeKind, type VolumeSpec, type VolumeStatus } from "../../kinds/volume-spec.ts";
import { failedCondition, findCondition, isConditionTrue, readyCondition } from "../../resource/condition.ts";
import { isBeingDeleted, ownedBy, type Resource } from "../../resource/resource.ts";
import { heldByMove, isAskedElsewhere, storageOf } from "../volume/volume-object.ts";
import type { VmContext, VmObject } from "./vm-object.ts";

/** A VM's disk, as its status has it. */
export interface DiskRecord {
  readonly id: string;
  readonly volume: string;
  readonly owned: boolean;
}

/** The volumes of a VM's disks, in order; or what they wait for. */
export interface VmVolumes {
  readonly disks: readonly DiskRecord[];
  readonly volumes: readonly Resource<VolumeSpec, VolumeStatus>[];
  readonly waitsFor?: string;
}

/** Has a volume for each disk: the VM's own ones are objects that it owns. */
export async function ensureVolumes(context: VmContext, object: VmObject, image: ImageSpec): Promise<VmVolumes> {
  const wanted: readonly VmDiskSpec[] = [
    ...(image.volume === undefined ? [] : [{ kind: "clone", volume: image.volume } as const]),
    ...object.spec.disks,
  ];
  const disks = wanted.map((disk, index): DiskRecord => {
    const id = `disk${index}`;
    return disk.kind === "volume"
      ? { id, volume: disk.volume, owned: false }
      : { id, volume: externalNameOf(object, id), owned: true };
  });
  const found = await Promise.all(disks.map((disk, index) => ensureVolume(context, object, disk, wanted[index])));
  const volumes: Resource<VolumeSpec, VolumeStatus>[] = [];
  for (const volume of found) {
    if (isWholeElsewhere(volume)) {
      volumes.push(volume);
      continue;
    }
    const failed = findCondition(volume.conditions, failedCondition);
    if (failed?.status === "True" && failed.observedGeneration >= volume.metadata.generation) {
      throw new VdcError("FAILED_PRECONDITION", `volume '${volume.metadata.name}' failed: ${failed.message}`, {
        blockers: [{ kind: "Volume", name: volume.metadata.name }],
      });
    }
    if (!isConditionTrue(volume.conditions, readyCondition, volume.metadata.generation)) {
      return { disks, volumes: [], waitsFor: `volume '${volume.metadata.name}' is not ready` };
    }
    volumes.push(volume);
  }
  return { disks, volumes };
}

/** Whether a volume is to move, or is being moved, and can be used where it is meanwhile. */
function isWholeElsewhere(volume: Resource<VolumeSpec, VolumeStatus>): boolean {
  const { status, conditions } = volume;
  const moves = status.move !== undefined || isAskedElsewhere(volume);
  return moves && heldByMove(status.move) === undefined && isConditionTrue(conditions, readyCondition, 1);
}

async function ensureVolume(
  context: VmContext,
  object: VmObject,
  disk: DiskRecord,
  wanted: VmDiskSpec | undefined,
): Promise<Resource<VolumeSpec, VolumeStatus>> {
  const { tenant } = object.metadata;
  const { signal } = context;
  const present = await context.store.find(volumeKind, { tenant, name: disk.volume }, { signal });
  if (present !== undefined) return present;
  if (wanted === undefined || wanted.kind === "volume") {
    throw new VdcError("NOT_FOUND", `volume '${disk.volume}' of VM '${object.metadata.name}' does not exist`);
  }
  const spec = await specOf(context, tenant, wanted);
  const { object: created } = await context.store.create(
    volumeKind,
    { tenant, name: disk.volume, spec, ownerReferences: [ownedBy(object)] },
    { fieldOwner: "vm-controller", signal },
  );
  return created;
}

async function specOf(
  context: VmContext,
  tenant: string,
  disk: Exclude<VmDiskSpec, { readonly kind: "volume" }>,
): Promise<VolumeInput> {
  if (disk.kind === "empty") {
    const { kind: _, ...spec } = disk;
    return spec;
  }
  const source = await context.store.find(volumeKind, { tenant, name: disk.volume }, { signal: context.signal });
  if (source === undefined)
    throw new VdcError("NOT_FOUND", `volume '${disk.volume}', which a disk is to be cloned from, does not exist`);
  return { storage: storageOf(source), content: { kind: "clone", volume: disk.volume, want: "linked" } };
}

/** Deletes the volumes that a VM owns. Returns whether they are gone. */
export async function removeOwnedVolumes(context: VmContext, object: VmObject): Promise<boolean> {
  const { tenant, uid } = object.metadata;
  const { signal } = context;
  let gone = true;
  for (const { volume: name, owned } of ownDisks(context, object)) {
    if (!owned) continue;
    const volume = await context.store.find(volumeKind, { tenant, name }, { signal });
    if (volume === undefined || !volume.metadata.ownerReferences.some((owner) => owner.uid === uid)) continue;
    gone = false;
    if (!isBeingDeleted(volume))
      await context.store.delete(volumeKind, { tenant, name }, { ifUid: volume.metadata.uid, signal });
  }
  return gone;
}

/** The disks on record; and, for a VM that was deleted before they were recorded, the volumes that name it as their owner. */
function ownDisks(context: VmContext, object: VmObject): readonly DiskRecord[] {
  const recorded = object.status.disks ?? [];
  const owned = context.cache
    .ownedBy(object.metadata.uid)
    .filter(
      (dependent) =>
        dependent.kind === volumeKind.kind && !recorded.some((disk) => disk.volume === dependent.metadata.name),
    )
    .map((dependent): DiskRecord => ({ id: "", volume: dependent.metadata.name, owned: true }));
  return [...recorded, ...owned];
}
