import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { identifier, nothing, objectName } from "../../contract/ownership.ts";
import { type WatchItem, watchItemOf } from "../../contract/watch-item.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { unary, watch } from "../../extension-point/operation.ts";
import { type Bytes, bytes } from "../../schema/quantity.ts";
import {
  type CloudImage,
  type CloudInstance,
  type CloudOperation,
  type CloudStamp,
  cloudImage,
  cloudInstance,
  cloudOperation,
  cloudStamp,
} from "./instance.ts";

/** Facet `power`. */
export interface CloudPowerFacet {
  startInstance(input: { readonly instanceId: string }, context: OperationContext): Promise<CloudOperation>;
  stopInstance(input: { readonly instanceId: string }, context: OperationContext): Promise<CloudOperation>;
}

/** Facet `images`: uploads. Limits: `formats`, `maxBytes`. */
export interface ImagesFacet {
  /** Uploads a file of the manager's host. Reports progress. */
  uploadImage(
    input: { readonly name: string; readonly path: string; readonly format: string; readonly stamp: CloudStamp },
    context: OperationContext,
  ): Promise<CloudImage>;
  deleteImage(input: { readonly imageId: string }, context: OperationContext): Promise<void>;
}

/** Facet `volumes`. */
export interface CloudVolumesFacet {
  createCloudVolume(
    input: { readonly name: string; readonly capacityBytes: Bytes; readonly stamp: CloudStamp },
    context: OperationContext,
  ): Promise<{ readonly volumeId: string }>;
  attachCloudVolume(
    input: { readonly volumeId: string; readonly instanceId: string },
    context: OperationContext,
  ): Promise<CloudOperation>;
  deleteCloudVolume(input: { readonly volumeId: string }, context: OperationContext): Promise<void>;
}

/** Facet `vapp`: deploys an OVF package natively. */
export interface VappFacet {
  deployVapp(
    input: {
      readonly name: string;
      readonly packagePath: string;
      readonly answers: Readonly<Record<string, string>>;
      readonly stamp: CloudStamp;
    },
    context: OperationContext,
  ): Promise<CloudOperation>;
}

/** Facet `pricing`. */
export interface PricingFacet {
  price(
    input: { readonly size: string; readonly region: string },
    context: OperationContext,
  ): Promise<{ readonly perHour: number; readonly currency: string }>;
}

/** A limit of the account. */
export interface Quota {
  readonly name: string;
  readonly used: number;
  readonly limit: number;
}

/** Facet `quotas`. */
export interface QuotasFacet {
  quotas(input: { readonly region?: string }, context: OperationContext): Promise<readonly Quota[]>;
}

/** Facet `events`: the cloud pushes what changes. */
export interface CloudEventsFacet {
  watchInstances(
    input: { readonly ownerDatacenter?: string },
    context: OperationContext,
  ): AsyncIterable<WatchItem<CloudInstance>>;
}

/** Facet `stretchedNetwork`: a port group that goes on in the cloud. */
export interface StretchedNetworkFacet {
  /** What stands in the way, before anything is changed. */
  planStretch(
    input: { readonly network: string; readonly peer: string },
    context: OperationContext,
  ): Promise<{ readonly problems: readonly string[] }>;
  applyStretch(
    input: { readonly network: string; readonly peer: string; readonly stamp: CloudStamp },
    context: OperationContext,
  ): Promise<{ readonly stretchId: string }>;
  dissolveStretch(input: { readonly stretchId: string }, context: OperationContext): Promise<void>;
}

const instanceRef = z.object({ instanceId: identifier });

/** The operations of {@link CloudPowerFacet}. */
export const cloudPowerOperations: OperationsOf<CloudPowerFacet> = {
  startInstance: unary({
    summary: "Starts an instance.",
    input: instanceRef,
    output: cloudOperation,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  stopInstance: unary({
    summary: "Stops an instance.",
    input: instanceRef,
    output: cloudOperation,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link ImagesFacet}. */
export const imagesOperations: OperationsOf<ImagesFacet> = {
  uploadImage: unary({
    summary: "Uploads an image.",
    input: z.object({ name: objectName, path: z.string(), format: z.string(), stamp: cloudStamp }),
    output: cloudImage,
    idempotent: true,
    errors: ["ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED", "UNAUTHENTICATED"],
  }),
  deleteImage: unary({
    summary: "Deletes an image; deleting what is absent succeeds.",
    input: z.object({ imageId: identifier }),
    output: nothing,
    idempotent: true,
    errors: ["FAILED_PRECONDITION"],
  }),
};

/** The operations of {@link CloudVolumesFacet}. */
export const cloudVolumesOperations: OperationsOf<CloudVolumesFacet> = {
  createCloudVolume: unary({
    summary: "Creates a volume.",
    input: z.object({ name: objectName, capacityBytes: bytes, stamp: cloudStamp }),
    output: z.object({ volumeId: identifier }),
    idempotent: true,
    errors: ["ALREADY_EXISTS", "RESOURCE_EXHAUSTED"],
  }),
  attachCloudVolume: unary({
    summary: "Attaches a volume to an instance.",
    input: z.object({ volumeId: identifier, instanceId: identifier }),
    output: cloudOperation,
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  deleteCloudVolume: unary({
    summary: "Deletes a volume; deleting what is absent succeeds.",
    input: z.object({ volumeId: identifier }),
    output: nothing,
    idempotent: true,
    errors: ["FAILED_PRECONDITION"],
  }),
};

/** The operations of {@link VappFacet}. */
export const vappOperations: OperationsOf<VappFacet> = {
  deployVapp: unary({
    summary: "Deploys an OVF package.",
    input: z.object({
      name: objectName,
      packagePath: z.string(),
      answers: z.record(z.string(), z.string()),
      stamp: cloudStamp,
    }),
    output: cloudOperation,
    idempotent: true,
    errors: ["ALREADY_EXISTS", "RESOURCE_EXHAUSTED"],
  }),
};

/** The operations of {@link PricingFacet}. */
export const pricingOperations: OperationsOf<PricingFacet> = {
  price: unary({
    summary: "Tells a size's price.",
    input: z.object({ size: identifier, region: z.string() }),
    output: z.object({ perHour: z.number(), currency: z.string() }),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
};

/** The operations of {@link QuotasFacet}. */
export const quotasOperations: OperationsOf<QuotasFacet> = {
  quotas: unary({
    summary: "Tells the account's limits.",
    input: z.object({ region: z.string().exactOptional() }),
    output: z.array(z.object({ name: z.string(), used: z.number(), limit: z.number() })),
    idempotent: true,
    errors: [],
  }),
};

/** The operations of {@link CloudEventsFacet}. */
export const cloudEventsOperations: OperationsOf<CloudEventsFacet> = {
  watchInstances: watch({
    summary: "Tells how instances change.",
    input: z.object({ ownerDatacenter: z.string().exactOptional() }),
    output: watchItemOf(cloudInstance),
    idempotent: true,
    errors: [],
  }),
};

/** The operations of {@link StretchedNetworkFacet}. */
export const stretchedNetworkOperations: OperationsOf<StretchedNetworkFacet> = {
  planStretch: unary({
    summary: "Tells what stands in the way of a stretched network.",
    input: z.object({ network: identifier, peer: z.string() }),
    output: z.object({ problems: z.array(z.string()) }),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  applyStretch: unary({
    summary: "Stretches a network.",
    input: z.object({ network: identifier, peer: z.string(), stamp: cloudStamp }),
    output: z.object({ stretchId: identifier }),
    idempotent: true,
    errors: ["NOT_FOUND", "FAILED_PRECONDITION"],
  }),
  dissolveStretch: unary({
    summary: "Ends a stretched network.",
    input: z.object({ stretchId: identifier }),
    output: nothing,
    idempotent: true,
    errors: [],
  }),
};
