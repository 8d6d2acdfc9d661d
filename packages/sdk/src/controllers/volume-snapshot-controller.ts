import { isVdcError, VdcError } from "@vdc-os/core";
import type { Snapshot, SnapshotsFacet } from "@vdc-os/core/storage/v1";
import type { Calls } from "@vdc-os/core";
import {
  type Controller,
  defineController,
  type ReconcileContext,
  type ReconcileResult,
  watchKind,
} from "../controller/define-controller.ts";
import { externalNameOf } from "../journal/external-name.ts";
import {
  volumeSnapshotFinalizer,
  volumeSnapshotKind,
  type VolumeSnapshotSpec,
  type VolumeSnapshotStatus,
} from "../kinds/volume-snapshot-spec.ts";
import { storageNameOf, volumeKind } from "../kinds/volume-spec.ts";
import { readyCondition } from "../resource/condition.ts";
import { isBeingDeleted, type Resource } from "../resource/resource.ts";
import type { DatacenterProviders } from "./providers.ts";
import { orFail } from "./reconcile-failure.ts";
import { settleIntents } from "./settle-intents.ts";
import { absentFacet } from "./volume/make-volume.ts";

type Context = ReconcileContext<VolumeSnapshotSpec, VolumeSnapshotStatus>;
type SnapshotObject = Resource<VolumeSnapshotSpec, VolumeSnapshotStatus>;

/** How long a snapshot waits for its volume, or for who needs it, before it looks again, in milliseconds. */
const waitMs = 500;

/** The name under which the journal and the sweep know the snapshots of a storage provider. */
export function snapshotsOf(storage: string): string {
  return `storage/${storage}/snapshots`;
}

/** Takes snapshots once, and deletes them when no clone needs them. */
export function volumeSnapshotController(providers: DatacenterProviders): Controller {
  return defineController({
    kind: volumeSnapshotKind,
    concurrency: 8,
    watches: [
      watchKind(volumeKind, (volume, cache) =>
        cache
          .list(volumeSnapshotKind)
          .filter(
            ({ spec, metadata, status }) =>
              spec.volume === volume.metadata.name &&
              metadata.tenant === volume.metadata.tenant &&
              status.snapshotId === undefined,
          )
          .map(({ metadata: { tenant, name } }) => ({ tenant, name })),
      ),
    ],
    async reconcile(context) {
      const { object } = context;
      if (object === undefined) return;
      if (isBeingDeleted(object)) return remove(context, object, providers);
      return orFail(() => ensure(context, object, providers));
    },
  });
}

async function ensure(
  context: Context,
  object: SnapshotObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  const { storage: name, snapshotId, volumeId } = object.status;
  if (name !== undefined && snapshotId !== undefined) {
    const facet = await facetOf(context, providers, name);
    const snapshot = await facet.getSnapshot({ snapshotId }, context.operation);
    await settleIntents(context, object);
    await record(context, name, snapshot);
    return undefined;
  }
  const place =
    name === undefined || volumeId === undefined ? await placeOf(context, object) : { storage: name, volumeId };
  if (typeof place === "string") {
    await context.updateStatus({
      conditions: [{ type: readyCondition, status: "False", reason: "WaitsForVolume", message: place }],
    });
    return { requeueAfterMs: waitMs };
  }
  const facet = await facetOf(context, providers, place.storage);
  // Where it is to be is on record before it is made: whoever deletes the object looks there.
  await context.updateStatus(({ status }) => ({ status: { ...status, ...place } }));
  const externalName = externalNameOf(object);
  const provider = snapshotsOf(place.storage);
  const intent = await context.journal.begin({
    object,
    provider,
    action: "create",
    externalName,
    signal: context.signal,
  });
  const input = { name: externalName, volumeId: place.volumeId, owner: context.ownerStamp };
  const snapshot = await facet.createSnapshot(input, context.operation);
  await record(context, place.storage, snapshot);
  await context.journal.done(intent, { signal: context.signal });
  return undefined;
}

async function record(context: Context, storage: string, snapshot: Snapshot): Promise<void> {
  const { snapshotId, volumeId, capacityBytes, exclusiveBytes, createdAt: takenAt } = snapshot;
  await context.updateStatus({
    status: { storage, snapshotId, volumeId, capacityBytes, exclusiveBytes, takenAt },
    conditions: [
      snapshot.ready
        ? { type: readyCondition, status: "True", reason: "Realised" }
        : { type: readyCondition, status: "False", reason: "BeingTaken" },
    ],
  });
}

/** Where the volume is; what the snapshot waits for, as text, while it is nowhere yet. */
async function placeOf(
  context: Context,
  { spec, metadata: { tenant, name } }: SnapshotObject,
): Promise<{ readonly storage: string; readonly volumeId: string } | string> {
  const volume = await context.store.find(volumeKind, { tenant, name: spec.volume }, { signal: context.signal });
  if (volume === undefined) {
    throw new VdcError("NOT_FOUND", `volume '${spec.volume}', of which '${name}' is to be a snapshot, does not exist`);
  }
  const storage = storageNameOf(volume);
  const { volumeId, reverting, move } = volume.status;
  if (storage === undefined || volumeId === undefined) return `volume '${spec.volume}' is not ready`;
  if (reverting !== undefined) return `volume '${spec.volume}' is going back to a snapshot`;
  if (move !== undefined) return `volume '${spec.volume}' is being moved`;
  return { storage, volumeId };
}

async function facetOf(context: Context, providers: DatacenterProviders, name: string): Promise<Calls<SnapshotsFacet>> {
  const storage = providers.storage.get(name);
  const facet = await storage.facet("snapshots", context.operation);
  if (!facet.available) throw absentFacet(storage, "take snapshots", facet.reason);
  return facet.operations;
}

async function remove(
  context: Context,
  object: SnapshotObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  const { storage } = object.status;
  if (storage !== undefined) {
    const facet = await facetOf(context, providers, storage);
    const name = externalNameOf(object);
    const snapshotId =
      object.status.snapshotId ??
      (await facet.listSnapshots({ name, limit: 1 }, context.operation)).items[0]?.snapshotId;
    try {
      if (snapshotId !== undefined) await facet.deleteSnapshot({ snapshotId }, context.operation);
    } catch (error) {
      if (!isVdcError(error, "FAILED_PRECONDITION")) throw error;
      // Clones that read from it, or hosts that read it: they go, or it waits.
      await context.updateStatus({
        conditions: [{ type: readyCondition, status: "False", reason: "InUse", message: error.message }],
      });
      return { requeueAfterMs: waitMs };
    }
  }
  await settleIntents(context, object);
  await context.removeFinalizer(volumeSnapshotFinalizer);
  return undefined;
}
