import { type Handle, isVdcError, type OperationContext, type Providers, VdcError } from "@vdc-os/core";
import type { Snapshot, StorageFacets, StorageProvider, Volume } from "@vdc-os/core/storage/v1";

/** A facet's methods, as its author wrote them. */
type FacetOperations<Name extends keyof StorageFacets> = NonNullable<StorageFacets[Name]>;

/** A facet, or why it is absent. */
export type FoundFacet<Operations> =
  | { readonly operations: Operations; readonly reason?: undefined }
  | { readonly operations: undefined; readonly reason: string };

/** How long a provider that is busy is asked again, in milliseconds. */
const busyForMs = 20_000;

/** The storage providers, and what is asked of them again and again. */
export class StorageAccess {
  readonly #providers: Providers<StorageProvider>;

  constructor(providers: Providers<StorageProvider>) {
    this.#providers = providers;
  }

  get(storage: string): Handle<StorageProvider> {
    return this.#providers.get(storage);
  }

  has(storage: string): boolean {
    return this.#providers.has(storage);
  }

  /** A facet of a provider; or why it is absent. */
  async facet<Name extends keyof StorageFacets & string>(
    storage: string,
    name: Name,
    context: OperationContext,
  ): Promise<FoundFacet<FacetOperations<Name>>> {
    const facet = await this.get(storage).facet(name, { signal: context.signal });
    if (!facet.available) return { operations: undefined, reason: facet.reason };
    return { operations: facet.operations as unknown as FacetOperations<Name> };
  }

  /** A facet that has to be there. `UNIMPLEMENTED` with the provider's reason. */
  async need<Name extends keyof StorageFacets & string>(
    storage: string,
    name: Name,
    context: OperationContext,
  ): Promise<FacetOperations<Name>> {
    const facet = await this.facet(storage, name, context);
    if (facet.operations !== undefined) return facet.operations;
    throw new VdcError("UNIMPLEMENTED", `storage '${storage}' has no facet '${name}': ${facet.reason}`);
  }

  async findVolume(storage: string, volumeId: string, context: OperationContext): Promise<Volume | undefined> {
    try {
      return await this.get(storage).getVolume({ volumeId }, context);
    } catch (error) {
      if (isVdcError(error, "NOT_FOUND")) return undefined;
      throw error;
    }
  }

  async findByName(storage: string, name: string, context: OperationContext): Promise<Volume | undefined> {
    const { items } = await this.get(storage).listVolumes({ name, limit: 1 }, context);
    return items.find((volume) => volume.name === name);
  }

  async listSnapshots(storage: string, volumeId: string, context: OperationContext): Promise<readonly Snapshot[]> {
    const snapshots = await this.need(storage, "snapshots", context);
    const found: Snapshot[] = [];
    let pageToken: string | undefined;
    do {
      const request = pageToken === undefined ? { volumeId } : { volumeId, pageToken };
      const page = await snapshots.listSnapshots(request, context);
      found.push(...page.items);
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    return found;
  }

  /** Calls again while the provider says `ABORTED`: another call changes the same object. */
  async patiently<T>(context: OperationContext, call: () => Promise<T>): Promise<T> {
    const giveUp = context.clock.monotonic() + busyForMs;
    for (let delayMs = 20; ; delayMs = Math.min(delayMs * 2, 1000)) {
      try {
        return await call();
      } catch (error) {
        if (!isVdcError(error, "ABORTED") || context.clock.monotonic() > giveUp) throw error;
        await context.clock.sleep(delayMs, { signal: context.signal });
      }
    }
  }
}
