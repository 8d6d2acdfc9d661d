import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { identifier } from "../../contract/ownership.ts";
import { type Page, type PageRequest, pageOf, pageRequestShape } from "../../contract/page.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { unary } from "../../extension-point/operation.ts";
import { type Timestamp, timestamp } from "../../schema/quantity.ts";
import {
  type CloudEventsFacet,
  type CloudPowerFacet,
  type CloudVolumesFacet,
  cloudEventsOperations,
  cloudPowerOperations,
  cloudVolumesOperations,
  type ImagesFacet,
  imagesOperations,
  type PricingFacet,
  pricingOperations,
  type QuotasFacet,
  quotasOperations,
  type StretchedNetworkFacet,
  stretchedNetworkOperations,
  type VappFacet,
  vappOperations,
} from "./facets.ts";
import {
  type CloudImage,
  type CloudInstance,
  type CloudNetwork,
  type CloudOperation,
  type CreateInstance,
  type CredentialReport,
  cloudImage,
  cloudInstance,
  cloudNetwork,
  cloudOperation,
  createInstance,
  credentialReport,
  type InstanceObservation,
  instanceObservation,
  type Offering,
  offering,
} from "./instance.ts";

/** The optional parts of {@link CloudConnector}. */
export interface CloudFacets {
  readonly power?: CloudPowerFacet;
  readonly images?: ImagesFacet;
  readonly volumes?: CloudVolumesFacet;
  readonly vapp?: VappFacet;
  readonly pricing?: PricingFacet;
  readonly quotas?: QuotasFacet;
  readonly events?: CloudEventsFacet;
  readonly stretchedNetwork?: StretchedNetworkFacet;
}

/**
 * The Cloud API: a cloud outside the datacenter, as a place where instances can run.
 *
 * - The owner stamp is written in the same request that creates, so that after a crash or a lost answer the instance is found by its
 *   token; a cloud that can't do that says so in attribute `stamp` (`same-request | name-only | two-step`).
 * - A connector never sleeps and never retries: the datacenter owns the journal, retries, rate budget, paging and sweeps.
 * - An outcome that can't be known fails with `DEADLINE_EXCEEDED` or `UNAVAILABLE`; then the datacenter observes, and never repeats blindly.
 */
export interface CloudConnector {
  /** Attributes: `regions`, `stamp`. */
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  checkCredentials(input: Readonly<Record<never, never>>, context: OperationContext): Promise<CredentialReport>;
  listOfferings(input: PageRequest & { readonly region?: string }, context: OperationContext): Promise<Page<Offering>>;
  listImages(input: PageRequest & { readonly name?: string }, context: OperationContext): Promise<Page<CloudImage>>;
  listNetworks(input: PageRequest, context: OperationContext): Promise<Page<CloudNetwork>>;
  /** Begins to create; the instance may be `pending`. A token that was used returns the instance it made. */
  createInstance(input: CreateInstance, context: OperationContext): Promise<CloudInstance>;
  /** By id, or by the token of the stamp. */
  observeInstance(
    input: { readonly by: { readonly instanceId: string } | { readonly token: string } },
    context: OperationContext,
  ): Promise<InstanceObservation>;
  /** Begins to remove. An absent one is a success, with an operation that has succeeded. */
  removeInstance(input: { readonly instanceId: string }, context: OperationContext): Promise<CloudOperation>;
  listInstances(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly changedSince?: Timestamp },
    context: OperationContext,
  ): Promise<Page<CloudInstance>>;
  getOperation(input: { readonly operationId: string }, context: OperationContext): Promise<CloudOperation>;
  readonly facets?: CloudFacets;
}

const account = ["UNAUTHENTICATED", "PERMISSION_DENIED"] as const;

/** The extension point for clouds: the Cloud API. */
export const cloudConnector: ExtensionPoint<CloudConnector> = defineExtensionPoint<CloudConnector>()({
  id: "vdc.cloud",
  version: "1.0",
  summary: "Clouds outside the datacenter.",
  operations: {
    describe: describeOperation,
    checkCredentials: unary({
      summary: "Tells who the credentials are and what they lack.",
      input: z.object({}),
      output: credentialReport,
      idempotent: true,
      errors: account,
    }),
    listOfferings: unary({
      summary: "Lists sizes and places.",
      input: z.object({ ...pageRequestShape, region: z.string().exactOptional() }),
      output: pageOf(offering),
      idempotent: true,
      errors: [...account, "ABORTED"],
    }),
    listImages: unary({
      summary: "Lists images.",
      input: z.object({ ...pageRequestShape, name: z.string().exactOptional() }),
      output: pageOf(cloudImage),
      idempotent: true,
      errors: [...account, "ABORTED"],
    }),
    listNetworks: unary({
      summary: "Lists networks.",
      input: z.object(pageRequestShape),
      output: pageOf(cloudNetwork),
      idempotent: true,
      errors: [...account, "ABORTED"],
    }),
    createInstance: unary({
      summary: "Begins to create an instance.",
      input: createInstance,
      output: cloudInstance,
      idempotent: true,
      errors: [...account, "ALREADY_EXISTS", "NOT_FOUND", "RESOURCE_EXHAUSTED", "ABORTED", "UNIMPLEMENTED"],
    }),
    observeInstance: unary({
      summary: "Tells what is known of an instance.",
      input: z.object({
        by: z.union([z.strictObject({ instanceId: identifier }), z.strictObject({ token: identifier })]),
      }),
      output: instanceObservation,
      idempotent: true,
      errors: account,
    }),
    removeInstance: unary({
      summary: "Begins to remove an instance; removing what is absent succeeds.",
      input: z.object({ instanceId: identifier }),
      output: cloudOperation,
      idempotent: true,
      errors: [...account, "FAILED_PRECONDITION"],
    }),
    listInstances: unary({
      summary: "Lists instances.",
      input: z.object({
        ...pageRequestShape,
        ownerDatacenter: z.string().exactOptional(),
        changedSince: timestamp.exactOptional(),
      }),
      output: pageOf(cloudInstance),
      idempotent: true,
      errors: [...account, "ABORTED"],
    }),
    getOperation: unary({
      summary: "Tells how far a long operation has come.",
      input: z.object({ operationId: identifier }),
      output: cloudOperation,
      idempotent: true,
      errors: [...account, "NOT_FOUND"],
    }),
  },
  facets: {
    power: cloudPowerOperations,
    images: imagesOperations,
    volumes: cloudVolumesOperations,
    vapp: vappOperations,
    pricing: pricingOperations,
    quotas: quotasOperations,
    events: cloudEventsOperations,
    stretchedNetwork: stretchedNetworkOperations,
  },
});
