import { isVdcError, VdcError } from "@vdc-os/core";
import type { Volume } from "@vdc-os/core/storage/v1";
import { externalNameOf } from "../../journal/external-name.ts";
import type { StorageHandle } from "../providers.ts";
import type { CloneSource } from "./volume-source.ts";
import type { VolumeContext, VolumeObject } from "./volume-object.ts";

/** A volume that was made. */
export interface MadeVolume {
  readonly volume: Volume;
  readonly cloneKind?: string;
  readonly createdInMs: number;
}

/** Creates, imports or clones the volume at a provider, or finds the one that a run before has made. The id is on record when it returns. */
export async function makeVolume(
  context: VolumeContext,
  object: VolumeObject,
  storage: StorageHandle,
  source: CloneSource | undefined,
): Promise<MadeVolume> {
  const { signal } = context;
  const intent = await context.journal.begin({
    object,
    provider: `storage/${storage.name}`,
    action: "create",
    externalName: externalNameOf(object),
    signal,
  });
  const began = context.clock.monotonic();
  let made: Omit<MadeVolume, "createdInMs">;
  try {
    made = await make(context, object, storage, source);
  } catch (error) {
    // A provider that has no room has made nothing, and another may be tried: unless a call before, whose answer was lost, has.
    if (isVdcError(error, "RESOURCE_EXHAUSTED")) {
      const { items } = await storage.listVolumes({ name: intent.externalName, limit: 1 }, context.operation);
      if (items.length > 0) throw new VdcError("UNAVAILABLE", error.message, { cause: error });
      await context.journal.done(intent, { signal });
    }
    throw error;
  }
  const createdInMs = context.clock.monotonic() - began;
  const { volumeId } = made.volume;
  // The id is on record before the intent is struck out: at no moment is the volume known to nobody.
  await context.updateStatus((present) => ({
    status: { ...present.status, storage: storage.name, volumeId },
  }));
  await context.journal.done(intent, { signal });
  return { ...made, createdInMs };
}

async function make(
  context: VolumeContext,
  object: VolumeObject,
  storage: StorageHandle,
  source: CloneSource | undefined,
): Promise<Omit<MadeVolume, "createdInMs">> {
  const { spec } = object;
  const { operation } = context;
  const common = { name: externalNameOf(object), owner: context.ownerStamp };
  const size = spec.capacityBytes === undefined ? {} : { capacityBytes: spec.capacityBytes };
  switch (spec.content.kind) {
    case "empty": {
      const parameters = Object.keys(spec.parameters).length === 0 ? {} : { parameters: spec.parameters };
      const hosts = spec.accessibleHosts === undefined ? {} : { accessibleHosts: spec.accessibleHosts };
      const input = { ...common, capacityBytes: spec.capacityBytes ?? 0, ...parameters, ...hosts };
      return { volume: await storage.createVolume(input, operation) };
    }
    case "file": {
      const { path, format } = spec.content;
      const importExport = await storage.facet("importExport", operation);
      if (!importExport.available) throw absentFacet(storage, "import images", importExport.reason);
      const input = { ...common, ...size, source: { path, format } };
      return { volume: await importExport.operations.importVolume(input, withProgress(context)) };
    }
    case "clone": {
      const clones = await storage.facet("clones", operation);
      if (!clones.available) throw absentFacet(storage, "clone volumes", clones.reason);
      if (source === undefined) throw new VdcError("INTERNAL", `volume '${object.metadata.name}' has no source`);
      const input = { ...common, ...size, source: source.source, want: spec.content.want };
      const { volume, kind } = await clones.operations.cloneVolume(input, withProgress(context));
      return { volume, cloneKind: kind };
    }
  }
}

function withProgress(context: VolumeContext) {
  const { signal } = context;
  return {
    signal,
    tenant: context.operation.tenant,
    onProgress: (update: { readonly fraction?: number; readonly message?: string }) => context.progress(update),
  };
}

/** What a storage provider can't do, because it lacks a facet. */
export function absentFacet(storage: StorageHandle, what: string, reason: string): VdcError {
  return new VdcError("UNIMPLEMENTED", `storage '${storage.name}' can't ${what}: ${reason}`);
}
