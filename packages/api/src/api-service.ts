import type { About, ApiPage } from "@vdc-os/api-client";
import type { OperationContext, Page } from "@vdc-os/core";
import type {
  CloudImage,
  CloudInstance,
  CloudNetwork,
  CloudOperation,
  CreateInstance,
  Offering,
} from "@vdc-os/core/cloud/v1";

/**
 * What the HTTP API serves: a datacenter, as a cloud that others reach into. Every method fails with a `VdcError`, whose code decides the HTTP
 * status.
 */
export interface ApiService {
  about(context: OperationContext): Promise<About>;
  listSizes(page: ApiPage, context: OperationContext): Promise<Page<Offering>>;
  listImages(filter: ApiPage & { readonly name?: string }, context: OperationContext): Promise<Page<CloudImage>>;
  listNetworks(page: ApiPage, context: OperationContext): Promise<Page<CloudNetwork>>;
  /** Idempotent by the token of the stamp: a token that was used returns the instance it made. */
  createInstance(input: CreateInstance, context: OperationContext): Promise<CloudInstance>;
  /** `NOT_FOUND` when there is none. */
  getInstance(instanceId: string, context: OperationContext): Promise<CloudInstance>;
  listInstances(
    filter: ApiPage & { readonly ownerDatacenter?: string; readonly changedSince?: number; readonly token?: string },
    context: OperationContext,
  ): Promise<Page<CloudInstance>>;
  removeInstance(instanceId: string, context: OperationContext): Promise<CloudOperation>;
  getOperation(operationId: string, context: OperationContext): Promise<CloudOperation>;
  readConsole(
    instanceId: string,
    offset: number,
    context: OperationContext,
  ): Promise<{ readonly offset: number; readonly text: string }>;
}
