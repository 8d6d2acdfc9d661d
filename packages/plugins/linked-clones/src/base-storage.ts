import {
  type Description,
  type Handle,
  isVdcError,
  type JsonObject,
  type OperationContext,
  VdcError,
} from "@vdc-os/core";
import type { Attachment, Snapshot, StorageFacets, StorageProvider, Volume } from "@vdc-os/core/storage/v1";

/** A facet's methods, as its author wrote them. */
export type FacetOperations<Name extends keyof StorageFacets> = NonNullable<StorageFacets[Name]>;

/** The provider underneath, and what is asked of it again and again. */
export class BaseStorage {
  readonly handle: Handle<StorageProvider>;

  constructor(handle: Handle<StorageProvider>) {
    this.handle = handle;
  }

  /** A facet of it. Throws `UNIMPLEMENTED` with the reason that it gives. */
  async facet<Name extends keyof StorageFacets & string>(
    name: Name,
    context: OperationContext,
  ): Promise<FacetOperations<Name>> {
    return (await this.facetWithLimits(name, context)).operations;
  }

  /** A facet of it, with what it says of it. Throws `UNIMPLEMENTED` with the reason that it gives. */
  async facetWithLimits<Name extends keyof StorageFacets & string>(
    name: Name,
    context: OperationContext,
  ): Promise<{ readonly operations: FacetOperations<Name>; readonly limits: JsonObject }> {
    const facet = await this.handle.facet(name, { signal: context.signal });
    if (facet.available) {
      return { operations: facet.operations as unknown as FacetOperations<Name>, limits: facet.limits };
    }
    throw new VdcError("UNIMPLEMENTED", `provider '${this.handle.name}' has no facet '${name}': ${facet.reason}`, {
      reason: "VDC_FACET_UNAVAILABLE",
    });
  }

  /** What it says of itself, wherever. */
  describe(context: OperationContext): Promise<Description> {
    return this.handle.describe({ scope: {} }, context);
  }

  /** All its volumes. */
  async *volumes(context: OperationContext): AsyncGenerator<Volume> {
    let pageToken: string | undefined;
    do {
      const page = await this.handle.listVolumes(
        { limit: 1000, ...(pageToken === undefined ? {} : { pageToken }) },
        context,
      );
      yield* page.items;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }

  async findByName(name: string, context: OperationContext): Promise<Volume | undefined> {
    const { items } = await this.handle.listVolumes({ name, limit: 1 }, context);
    return items.find((volume) => volume.name === name);
  }

  async find(volumeId: string, context: OperationContext): Promise<Volume | undefined> {
    return absentIfNotFound(this.handle.getVolume({ volumeId }, context));
  }

  async findSnapshotByName(name: string, context: OperationContext): Promise<Snapshot | undefined> {
    const { items } = await (await this.facet("snapshots", context)).listSnapshots({ name, limit: 1 }, context);
    return items.find((snapshot) => snapshot.name === name);
  }

  async attachment(volumeId: string, context: OperationContext): Promise<Attachment | undefined> {
    return (await absentIfNotFound(this.handle.getAttachment({ volumeId }, context)))?.attachment;
  }
}

/** Whether overlays can be made of snapshots. */
export function layersSnapshots({ facets }: Pick<Description, "facets">): boolean {
  const { layering, snapshots } = facets;
  if (layering?.status !== "available" || snapshots?.status !== "available") return false;
  const { parents } = layering.limits;
  return Array.isArray(parents) && parents.includes("snapshot");
}

async function absentIfNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isVdcError(error, "NOT_FOUND")) return undefined;
    throw error;
  }
}
