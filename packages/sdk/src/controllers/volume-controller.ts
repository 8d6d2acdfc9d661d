import { VdcError } from "@vdc-os/core";
import type { Volume } from "@vdc-os/core/storage/v1";
import {
  type Controller,
  defineController,
  type ReconcileContext,
  type ReconcileResult,
  watchKind,
} from "../controller/define-controller.ts";
import { externalNameOf } from "../journal/external-name.ts";
import { volumeFinalizer, volumeKind, type VolumeSpec, type VolumeStatus } from "../kinds/volume-spec.ts";
import { isConditionTrue, readyCondition } from "../resource/condition.ts";
import { isBeingDeleted, type Resource } from "../resource/resource.ts";
import type { DatacenterProviders, StorageHandle } from "./providers.ts";
import { orFail } from "./reconcile-failure.ts";
import { settleIntents } from "./settle-intents.ts";

type Context = ReconcileContext<VolumeSpec, VolumeStatus>;
type VolumeObject = Resource<VolumeSpec, VolumeStatus>;

/** How long a volume waits for the VM that has it, or for the volume that it is cloned from, before it looks again, in milliseconds. */
const waitMs = 500;

/** Keeps volumes as they are asked for: creates, imports or clones them, grows them, and deletes them when nobody has them attached. */
export function volumeController(providers: DatacenterProviders): Controller {
  return defineController({
    kind: volumeKind,
    concurrency: 8,
    watches: [
      watchKind(volumeKind, (source, cache) =>
        cache
          .list(volumeKind)
          .filter(({ spec }) => spec.content.kind === "clone" && spec.content.volume === source.metadata.name)
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
  object: VolumeObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  const storage = providers.storage.get(object.spec.storage);
  let volume =
    object.status.volumeId === undefined
      ? undefined
      : await storage.getVolume({ volumeId: object.status.volumeId }, context.operation);
  let made: Partial<VolumeStatus> = {};
  if (volume === undefined) {
    const creation = await create(context, object, storage);
    if (creation === undefined) return { requeueAfterMs: waitMs };
    ({ volume, ...made } = creation);
  } else {
    // Those of a run that was killed once it had recorded the volume.
    await settleIntents(context, object);
  }
  const { capacityBytes } = object.spec;
  if (capacityBytes !== undefined && capacityBytes > volume.capacityBytes)
    volume = await grow(context, storage, volume, capacityBytes);
  const { volumeId, allocatedBytes } = volume;
  const { capacityBytes: size } = volume;
  // What is there now is kept: a VM may have attached the volume since this run looked at it.
  await context.updateStatus((present) => ({
    status: { ...present.status, ...made, volumeId, capacityBytes: size, allocatedBytes },
    conditions: [{ type: readyCondition, status: "True", reason: "Realised" }],
  }));
  return undefined;
}

async function grow(context: Context, storage: StorageHandle, volume: Volume, capacityBytes: number): Promise<Volume> {
  const resize = await storage.facet("resize", context.operation);
  if (!resize.available) {
    throw new VdcError(
      "UNIMPLEMENTED",
      `storage '${storage.name}' can't grow volume '${volume.name}': ${resize.reason}`,
    );
  }
  return resize.operations.resizeVolume({ volumeId: volume.volumeId, capacityBytes }, context.operation);
}

interface Creation {
  readonly volume: Volume;
  readonly cloneKind?: string;
  readonly createdInMs: number;
}

/** Creates the volume, or finds the one that a run before has created; `undefined` while the source is not ready. */
async function create(context: Context, object: VolumeObject, storage: StorageHandle): Promise<Creation | undefined> {
  const { spec } = object;
  const { operation } = context;
  const name = externalNameOf(object);
  const common = { name, owner: context.ownerStamp };
  const size = spec.capacityBytes === undefined ? {} : { capacityBytes: spec.capacityBytes };
  let source: VolumeObject | undefined;
  if (spec.content.kind === "clone") {
    source = await sourceOf(context, object, spec.content.volume);
    if (source === undefined) return undefined;
  }
  const intent = await context.journal.begin({
    object,
    provider: `storage/${spec.storage}`,
    action: "create",
    externalName: name,
    signal: context.signal,
  });
  const began = context.clock.monotonic();
  let creation: { readonly volume: Volume; readonly cloneKind?: string };
  switch (spec.content.kind) {
    case "empty": {
      const parameters = Object.keys(spec.parameters).length === 0 ? {} : { parameters: spec.parameters };
      creation = {
        volume: await storage.createVolume(
          { ...common, capacityBytes: spec.capacityBytes ?? 0, ...parameters },
          operation,
        ),
      };
      break;
    }
    case "file": {
      const { path, format } = spec.content;
      const importExport = await storage.facet("importExport", operation);
      if (!importExport.available) throw absent(storage, "import images", importExport.reason);
      creation = {
        volume: await importExport.operations.importVolume(
          { ...common, ...size, source: { path, format } },
          withProgress(context),
        ),
      };
      break;
    }
    case "clone": {
      const clones = await storage.facet("clones", operation);
      if (!clones.available) throw absent(storage, "clone volumes", clones.reason);
      const volumeId = source?.status.volumeId ?? "";
      const clone = await clones.operations.cloneVolume(
        { ...common, ...size, source: { kind: "volume", volumeId }, want: spec.content.want },
        withProgress(context),
      );
      creation = { volume: clone.volume, cloneKind: clone.kind };
      break;
    }
  }
  const createdInMs = context.clock.monotonic() - began;
  const { volumeId } = creation.volume;
  // The id is on record before the intent is struck out: at no moment is the volume known to nobody.
  await context.updateStatus((present) => ({ status: { ...present.status, volumeId } }));
  await context.journal.done(intent, { signal: context.signal });
  return { ...creation, createdInMs };
}

async function sourceOf(context: Context, object: VolumeObject, name: string): Promise<VolumeObject | undefined> {
  const source = await context.store.find(
    volumeKind,
    { tenant: object.metadata.tenant, name },
    { signal: context.signal },
  );
  if (source === undefined)
    throw new VdcError(
      "NOT_FOUND",
      `volume '${name}', which '${object.metadata.name}' is to be cloned from, does not exist`,
    );
  if (source.spec.storage !== object.spec.storage) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      `volume '${object.metadata.name}' is on storage '${object.spec.storage}', and its source '${name}' on '${source.spec.storage}': a clone is on the same storage`,
    );
  }
  const ready = isConditionTrue(source.conditions, readyCondition, 1) && source.status.volumeId !== undefined;
  if (ready) return source;
  await context.updateStatus({
    conditions: [
      { type: readyCondition, status: "False", reason: "WaitsForSource", message: `volume '${name}' is not ready` },
    ],
  });
  return undefined;
}

async function remove(
  context: Context,
  object: VolumeObject,
  providers: DatacenterProviders,
): Promise<ReconcileResult | undefined> {
  if (object.status.attachedTo !== undefined) {
    const { vm, host } = object.status.attachedTo;
    await context.updateStatus({
      conditions: [
        {
          type: readyCondition,
          status: "False",
          reason: "InUse",
          message: `VM '${vm}' on host '${host}' has it attached`,
        },
      ],
    });
    return { requeueAfterMs: waitMs };
  }
  const storage = providers.storage.get(object.spec.storage);
  const volumeId = object.status.volumeId ?? (await findByName(context, storage, externalNameOf(object)));
  if (volumeId !== undefined) await storage.deleteVolume({ volumeId }, context.operation);
  await settleIntents(context, object);
  await context.removeFinalizer(volumeFinalizer);
  return undefined;
}

async function findByName(context: Context, storage: StorageHandle, name: string): Promise<string | undefined> {
  const { items } = await storage.listVolumes({ name, limit: 1 }, context.operation);
  return items[0]?.volumeId;
}

function withProgress(context: Context) {
  const { signal } = context;
  return {
    signal,
    tenant: context.operation.tenant,
    onProgress: (update: { readonly fraction?: number; readonly message?: string }) => context.progress(update),
  };
}

function absent(storage: StorageHandle, what: string, reason: string): VdcError {
  return new VdcError("UNIMPLEMENTED", `storage '${storage.name}' can't ${what}: ${reason}`);
}
