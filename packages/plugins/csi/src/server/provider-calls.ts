import {
  createOperationContext,
  type FacetName,
  type FacetOf,
  type Handle,
  type Logger,
  type OperationContext,
  VdcError,
} from "@vdc-os/core";
import type { Calls } from "@vdc-os/core";
import type { Attachment, StorageProvider, Volume } from "@vdc-os/core/storage/v1";
import type { GrpcCall } from "../grpc/grpc-server.ts";

/** The provider that is offered as a CSI driver, as its services call it. */
export class ProviderCalls {
  readonly provider: Handle<StorageProvider>;
  readonly #logger: Logger;

  constructor(provider: Handle<StorageProvider>, logger: Logger) {
    this.provider = provider;
    this.#logger = logger;
  }

  /** The context of what a gRPC call does: it ends with that call. */
  context(call: GrpcCall): OperationContext {
    return createOperationContext({ signal: call.signal, timeoutMs: call.timeoutMs }, { logger: this.#logger });
  }

  /** A facet's operations. Throws `UNIMPLEMENTED` with the provider's reason where it has none. */
  async facet<Name extends FacetName<StorageProvider>>(
    name: Name,
    context: OperationContext,
  ): Promise<Calls<FacetOf<StorageProvider, Name>>> {
    const facet = await this.provider.facet(name, { signal: context.signal });
    if (facet.available) return facet.operations;
    throw new VdcError("UNIMPLEMENTED", `the storage provider has no facet '${name}': ${facet.reason}`);
  }

  async hasFacet(name: FacetName<StorageProvider>, context: OperationContext): Promise<boolean> {
    return (await this.provider.facet(name, { signal: context.signal })).available;
  }

  /** Snapshots are offered only where volumes can be made of them: CSI has no other use of one. */
  async hasSnapshots(context: OperationContext): Promise<boolean> {
    return (await this.hasFacet("snapshots", context)) && (await this.hasFacet("clones", context));
  }

  async attachment(volumeId: string, context: OperationContext): Promise<Attachment | undefined> {
    return (await this.provider.getAttachment({ volumeId }, context)).attachment;
  }

  async volume(volumeId: string, context: OperationContext): Promise<Volume> {
    return this.provider.getVolume({ volumeId }, context);
  }
}
