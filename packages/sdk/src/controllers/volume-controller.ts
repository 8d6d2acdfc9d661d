import { isVdcError, VdcError } from "@vdc-os/core";
import type { Volume } from "@vdc-os/core/storage/v1";
import { type Controller, defineController, type ReconcileResult, watchKind } from "../controller/define-controller.ts";
import { externalNameOf } from "../journal/external-name.ts";
import { storagePolicyKind } from "../kinds/storage-policy-spec.ts";
import { storagePoolKind } from "../kinds/storage-pool-spec.ts";
import { volumeSnapshotKind } from "../kinds/volume-snapshot-spec.ts";
import { storageNameOf, volumeFinalizer, volumeKind } from "../kinds/volume-spec.ts";
import { readyCondition } from "../resource/condition.ts";
import { isBeingDeleted, type Resource } from "../resource/resource.ts";
import type { DatacenterProviders, StorageHandle } from "./providers.ts";
import { orFail } from "./reconcile-failure.ts";
import { settleIntents } from "./settle-intents.ts";
import { chooseStorage, namedStorage } from "./volume/choose-storage.ts";
import { holdAgainstPolicy } from "./volume/hold-against-policy.ts";
import { absentFacet, type MadeVolume, makeVolume } from "./volume/make-volume.ts";
import { VolumePlacer } from "./volume/place-volume-object.ts";
import { revertVolume } from "./volume/revert-volume.ts";
import { moveVolume } from "./volume/move-volume.ts";
import { showGuestItsSize } from "./volume/show-guest-its-size.ts";
import { removeElsewhere } from "./volume/remove-elsewhere.ts";
import { storageOf, type VolumeContext as Context, type VolumeObject } from "./volume/volume-object.ts";
import { type CloneSource, cloneSourceOf } from "./volume/volume-source.ts";

/** How long a volume waits for the VM that has it, or for what it is cloned from, before it looks again, in milliseconds. */
const waitMs = 500;

const keyOf = ({ metadata: { tenant, name } }: Resource) => ({ tenant, name });

/**
 * Keeps volumes as they are asked for: places, creates, imports or clones them, holds them against their policies, takes them back to snapshots, grows them, and
 * deletes them when nobody has them attached and no snapshot needs them.
 */
export function volumeController(providers: DatacenterProviders): Controller {
  const placer = new VolumePlacer(providers);
  return defineController({
    kind: volumeKind,
    concurrency: 8,
    watches: [
      watchKind(volumeKind, (source, cache) =>
        cache
          .list(volumeKind)
          .filter(({ spec: { content } }) => "volume" in content && content.volume === source.metadata.name)
          .map(keyOf),
      ),
      watchKind(volumeSnapshotKind, ({ metadata: { tenant, name } }, cache) =>
        cache
          .list(volumeKind)
          .filter(({ metadata }) => metadata.tenant === tenant)
          .filter(
            ({ spec: { content, revert } }) =>
              revert?.snapshot === name || ("snapshot" in content && content.snapshot === name),
          )
          .map(keyOf),
      ),
      watchKind(storagePolicyKind, ({ metadata: { tenant, name } }, cache) =>
        cache
          .list(volumeKind)
          .filter(({ metadata, spec }) => metadata.tenant === tenant && spec.policy === name)
          .map(keyOf),
      ),
      // A pool's numbers change often, and what it can do seldom: only that is held against policies again.
      watchKind(storagePoolKind, ({ metadata: { name }, status: { capabilities } }, cache) =>
        cache
          .list(volumeKind)
          .filter(
            ({ spec, status }) =>
              spec.policy !== undefined && status.storage === name && status.capabilities !== capabilities,
          )
          .map(keyOf),
      ),
    ],
    async reconcile(context) {
      const { object } = context;
      if (object === undefined) return;
      if (isBeingDeleted(object)) return remove(context, object, { providers, placer });
      return orFail(() => ensure(context, object, { providers, placer }));
    },
  });
}

interface Services {
  readonly providers: DatacenterProviders;
  readonly placer: VolumePlacer;
}

async function ensure(context: Context, found: VolumeObject, services: Services): Promise<ReconcileResult | undefined> {
  const moved = await moveVolume(context, found, services.providers);
  if ("wait" in moved) return moved.wait;
  const { object } = moved;
  const { volumeId: known } = object.status;
  let made: MadeVolume | undefined;
  let storage: StorageHandle;
  let volume: Volume;
  if (known === undefined) {
    const placed = await placeAndMake(context, object, services);
    if (placed === undefined) return { requeueAfterMs: waitMs };
    ({ storage, made } = placed);
    ({ volume } = made);
  } else {
    storage = services.providers.storage.get(storageOf(object));
    volume = await storage.getVolume({ volumeId: known }, context.operation);
    // Those of a run that was killed once it had recorded the volume.
    await settleIntents(context, object);
  }
  const { volumeId } = volume;
  const wait = await revertVolume(context, object, storage, volumeId);
  if (wait !== undefined) return wait;
  if (object.spec.revert !== undefined) volume = await storage.getVolume({ volumeId }, context.operation);
  const { capacityBytes } = object.spec;
  if (capacityBytes !== undefined && capacityBytes > volume.capacityBytes)
    volume = await grow(context, storage, volume, { capacityBytes, placer: services.placer });
  const { waitsFor, later } = await showGuestItsSize(context, object, volume, services.providers);
  if (waitsFor !== undefined) return { requeueAfterMs: waitMs };
  const compliance = await holdAgainstPolicy(context, object, storage, volumeId);
  const { allocatedBytes, capacityBytes: size, accessibleHosts } = volume;
  const first =
    made === undefined
      ? {}
      : { createdInMs: made.createdInMs, ...(made.cloneKind === undefined ? {} : { cloneKind: made.cloneKind }) };
  // What is there now is kept: a VM may have attached the volume since this run looked at it.
  await context.updateStatus(({ status: { qos: _, accessibleHosts: __, ...present } }) => ({
    status: {
      ...present,
      ...first,
      ...compliance.status,
      storage: storage.name,
      volumeId,
      capacityBytes: size,
      allocatedBytes,
      ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
    },
    conditions: [
      { type: readyCondition, status: "True", reason: "Realised", ...(later === undefined ? {} : { message: later }) },
      ...compliance.conditions,
    ],
  }));
  return undefined;
}

/** Places the volume, records where, and makes it there; `undefined` while its source is not ready. */
async function placeAndMake(
  context: Context,
  object: VolumeObject,
  { providers, placer }: Services,
): Promise<{ readonly storage: StorageHandle; readonly made: MadeVolume } | undefined> {
  const { spec } = object;
  const { uid } = object.metadata;
  let source: CloneSource | undefined;
  if (spec.content.kind === "clone") {
    const found = await cloneSourceOf(context, object, spec.content);
    if (typeof found === "string") {
      const waits = { type: readyCondition, status: "False", reason: "WaitsForSource", message: found } as const;
      await context.updateStatus({ conditions: [waits] });
      return undefined;
    }
    source = found;
    if (spec.storage !== undefined && source.storage !== spec.storage) {
      throw new VdcError(
        "INVALID_ARGUMENT",
        `volume '${object.metadata.name}' is on storage '${spec.storage}', and its source on '${source.storage}': a clone is on the same storage`,
      );
    }
  }
  const full: Record<string, string> = {};
  // A choice that a run before has recorded is kept: what it made is there.
  let chosen = object.status.storage ?? namedStorage(context, object);
  await removeElsewhere(context, object, providers);
  for (;;) {
    chosen ??= await chooseStorage(context, object, { placer, source, full });
    try {
      const storage = providers.storage.get(chosen);
      const made = await makeVolume(context, object, storage, source);
      placer.counted(uid, context.clock.monotonic());
      return { storage, made };
    } catch (error) {
      placer.forget(uid);
      if (!isVdcError(error, "RESOURCE_EXHAUSTED") || spec.policy === undefined) throw error;
      // It had no room after all, and has made nothing: the choice is taken back, and the next one tried.
      full[chosen] = `has no room after all: ${error.message}`;
      chosen = undefined;
      await context.updateStatus(({ status: { storage: _, placement: __, ...status } }) => ({ status }));
    }
  }
}

async function grow(
  context: Context,
  storage: StorageHandle,
  volume: Volume,
  { capacityBytes, placer }: { readonly capacityBytes: number; readonly placer: VolumePlacer },
): Promise<Volume> {
  const resize = await storage.facet("resize", context.operation);
  if (!resize.available) throw absentFacet(storage, `grow volume '${volume.name}'`, resize.reason);
  const pool = context.cache.get(storagePoolKind, { tenant: "default", name: storage.name });
  if (pool?.spec.maxOverSubscription !== undefined) {
    // The operator's limit holds for what is added too.
    await placer.choose(context, { capacityBytes: capacityBytes - volume.capacityBytes, storage: storage.name });
  }
  const grown = await resize.operations.resizeVolume({ volumeId: volume.volumeId, capacityBytes }, context.operation);
  placer.counted(context.ownerStamp.uid, context.clock.monotonic());
  return grown;
}

async function remove(
  context: Context,
  found: VolumeObject,
  { providers, placer }: Services,
): Promise<ReconcileResult | undefined> {
  const moved = await moveVolume(context, found, providers);
  if ("wait" in moved) return moved.wait;
  const { object } = moved;
  const holder = holderOf(context, object);
  if (holder !== undefined) {
    const message = holder;
    await context.updateStatus({ conditions: [{ type: readyCondition, status: "False", reason: "InUse", message }] });
    return { requeueAfterMs: waitMs };
  }
  await removeElsewhere(context, object, providers);
  const name = storageNameOf(object);
  if (name !== undefined) {
    const storage = providers.storage.get(name);
    const volumeId = object.status.volumeId ?? (await findByName(context, storage, externalNameOf(object)));
    if (volumeId !== undefined) await storage.deleteVolume({ volumeId }, context.operation);
  }
  placer.forget(object.metadata.uid);
  await settleIntents(context, object);
  await context.removeFinalizer(volumeFinalizer);
  return undefined;
}

/** Who needs the volume still, as a phrase. */
function holderOf({ cache }: Context, { status, metadata: { tenant, name } }: VolumeObject): string | undefined {
  if (status.attachedTo !== undefined)
    return `VM '${status.attachedTo.vm}' on host '${status.attachedTo.host}' has it attached`;
  const snapshots = cache
    .list(volumeSnapshotKind)
    .filter((snapshot) => snapshot.metadata.tenant === tenant && snapshot.spec.volume === name)
    .map((snapshot) => `'${snapshot.metadata.name}'`);
  return snapshots.length === 0 ? undefined : `it has snapshots: ${snapshots.join(", ")}`;
}

async function findByName(context: Context, storage: StorageHandle, name: string): Promise<string | undefined> {
  const { items } = await storage.listVolumes({ name, limit: 1 }, context.operation);
  return items[0]?.volumeId;
}
