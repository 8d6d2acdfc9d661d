import { type Handle, isVdcError, type OperationContext, VdcError } from "@vdc-os/core";
import type { Attachment, StorageFacets, StorageProvider, Volume } from "@vdc-os/core/storage/v1";

/** A facet's methods, as its author wrote them. */
type FacetOperations<Name extends keyof StorageFacets> = NonNullable<StorageFacets[Name]>;

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
    const facet = await this.handle.facet(name, { signal: context.signal });
    if (facet.available) return facet.operations as unknown as FacetOperations<Name>;
    throw new VdcError("UNIMPLEMENTED", `provider '${this.handle.name}' has no facet '${name}': ${facet.reason}`, {
      reason: "VDC_FACET_UNAVAILABLE",
    });
  }

  async findByName(name: string, context: OperationContext): Promise<Volume | undefined> {
    const { items } = await this.handle.listVolumes({ name, limit: 1 }, context);
    return items.find((volume) => volume.name === name);
  }

  async find(volumeId: string, context: OperationContext): Promise<Volume | undefined> {
    try {
      return await this.handle.getVolume({ volumeId }, context);
    } catch (error) {
      if (isVdcError(error, "NOT_FOUND")) return undefined;
      throw error;
    }
  }

  async attachment(volumeId: string, context: OperationContext): Promise<Attachment | undefined> {
    try {
      return (await this.handle.getAttachment({ volumeId }, context)).attachment;
    } catch (error) {
      if (isVdcError(error, "NOT_FOUND")) return undefined;
      throw error;
    }
  }
}
