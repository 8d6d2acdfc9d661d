import { isVdcError, VdcError } from "@vdc-os/core";
import type { Calls, FacetName, FacetOf, Handle } from "@vdc-os/core";
import { type StorageProvider, storageProvider, type Volume, type VolumeHealth } from "@vdc-os/core/storage/v1";
import type { Datacenter } from "@vdc-os/sdk";
import { usageError } from "../failure/failure.ts";
import { storageNameOf, type VolumeObject } from "./volume-object.ts";

/** A volume that its provider has. */
export interface PresentVolume {
  readonly object: VolumeObject;
  readonly storage: Handle<StorageProvider>;
  readonly volumeId: string;
}

/** The names of a datacenter's storage providers, in order. */
export function storageNames(dc: Pick<Datacenter, "kernel">): readonly string[] {
  return [...dc.kernel.all(storageProvider).names()].sort();
}

/** A storage provider by name. Fails with `NOT_FOUND`, and lists the names there are. */
export function storageOf(dc: Pick<Datacenter, "kernel">, name: string): Handle<StorageProvider> {
  return dc.kernel.all(storageProvider).get(name);
}

/** The storage that was named; where there is only one, it need not be. */
export function chosenStorage(dc: Pick<Datacenter, "kernel">, named: string | undefined): string {
  const names = storageNames(dc);
  if (named !== undefined) return storageOf(dc, named).name;
  const [only, ...more] = names;
  if (only !== undefined && more.length === 0) return only;
  throw usageError(`say which storage with '--storage': ${names.map((name) => `'${name}'`).join(", ")}`);
}

/** A volume that is there. Fails with `FAILED_PRECONDITION` while it is not. */
export async function presentVolume(dc: Datacenter, name: string, signal: AbortSignal): Promise<PresentVolume> {
  const object = await dc.volumes.get(name, { signal });
  const storage = storageNameOf(object);
  const { volumeId } = object.status;
  if (storage === undefined || volumeId === undefined) {
    throw new VdcError("FAILED_PRECONDITION", `volume '${name}' is not there yet: wait until it is ready`);
  }
  return { object, storage: storageOf(dc, storage), volumeId };
}

/** A facet's operations. Fails with `UNIMPLEMENTED` and the provider's reason where it is absent. */
export async function facetOf<Name extends FacetName<StorageProvider>>(
  storage: Handle<StorageProvider>,
  name: Name,
  signal: AbortSignal,
): Promise<Calls<FacetOf<StorageProvider, Name>>> {
  const facet = await storage.facet(name, { signal });
  if (facet.available) return facet.operations;
  throw new VdcError("UNIMPLEMENTED", `storage '${storage.name}' has no facet '${name}': ${facet.reason}`);
}

/** What every provider says of its volumes now, by storage and id. A provider that does not answer is left out. */
export async function currentVolumes(dc: Datacenter, signal: AbortSignal): Promise<ReadonlyMap<string, Volume>> {
  const found = new Map<string, Volume>();
  for (const name of storageNames(dc)) {
    try {
      for await (const volume of volumesOf(storageOf(dc, name), signal))
        found.set(`${name}/${volume.volumeId}`, volume);
    } catch (error) {
      if (!isVdcError(error) || signal.aborted) throw error;
    }
  }
  return found;
}

/** How a volume is, as its provider says now. `undefined` for one that is not there yet; where the provider does not answer, that is what is told. */
export async function healthOf(
  dc: Datacenter,
  object: VolumeObject,
  signal: AbortSignal,
): Promise<VolumeHealth | undefined> {
  const { volumeId } = object.status;
  const name = storageNameOf(object);
  if (volumeId === undefined || name === undefined) return undefined;
  try {
    return await storageOf(dc, name).health({ volumeId }, { signal });
  } catch (error) {
    if (!isVdcError(error) || signal.aborted) throw error;
    return { condition: "abnormal", message: error.message };
  }
}

/** All volumes of a provider, page by page. */
export async function* volumesOf(storage: Handle<StorageProvider>, signal: AbortSignal): AsyncGenerator<Volume> {
  let pageToken: string | undefined;
  do {
    const page = await storage.listVolumes(pageToken === undefined ? {} : { pageToken }, { signal });
    yield* page.items;
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
}
