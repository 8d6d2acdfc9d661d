import { jsonObject, type JsonObject, schemaOf, type Timestamp, timestamp } from "@vdc-os/core";
import { type PoolCapacity, poolCapacity, type VolumeHealth, volumeHealth } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";

/** What a storage provider is to be used for. The object's labels are the operator's: policies prefer and require them. */
export interface StoragePoolSpec {
  /** Whether new volumes may be placed on it. Those that are there stay. Defaults to true. */
  readonly schedulable: boolean;
  /** How far its promises may exceed its space, where that is less than the provider allows. A volume that would pass it is refused. */
  readonly maxOverSubscription?: number;
}

/** What a storage provider is, as it was last asked. */
export interface StoragePoolStatus {
  readonly capacity?: PoolCapacity;
  readonly health?: VolumeHealth;
  /** Facets that are available. */
  readonly facets?: readonly string[];
  readonly attributes?: JsonObject;
  /** Changes with what the provider says it can do: volumes are held against their policies again then. */
  readonly capabilities?: string;
  /** Its driver. */
  readonly implementation?: string;
  /** When the numbers were read that are told here. Numbers that hardly changed are not written again. */
  readonly observedAt?: Timestamp;
}

/** The condition type that is `False` while a pool has a capacity alarm: its reason is the worst one (`OutOfSpace`, `Metadata`, `Allocated`, `Provisioned`). */
export const capacityCondition = "CapacityOk";

/** The condition type that says whether a pool is well. */
export const healthyCondition = "Healthy";

/** Schema of {@link StoragePoolSpec}. */
export const storagePoolSpec: z.ZodType<StoragePoolSpec> = schemaOf<StoragePoolSpec>()(
  z.object({ schedulable: z.boolean().default(true), maxOverSubscription: z.number().positive().exactOptional() }),
);

/** Schema of {@link StoragePoolStatus}. */
export const storagePoolStatus: z.ZodType<StoragePoolStatus> = schemaOf<StoragePoolStatus>()(
  z.object({
    capacity: poolCapacity.exactOptional(),
    health: volumeHealth.exactOptional(),
    facets: z.array(z.string()).exactOptional(),
    attributes: jsonObject.exactOptional(),
    capabilities: z.string().exactOptional(),
    implementation: z.string().exactOptional(),
    observedAt: timestamp.exactOptional(),
  }),
);

/** A pool as a caller writes it. */
export type StoragePoolInput = Partial<StoragePoolSpec>;

/** Storage pools: one object for each storage provider, under its name, in tenant `default`. The datacenter makes them, and looks at them from time to time. */
export const storagePoolKind: Kind<StoragePoolSpec, StoragePoolStatus, StoragePoolInput> = defineKind<
  StoragePoolSpec,
  StoragePoolStatus,
  StoragePoolInput
>()({
  kind: "StoragePool",
  apiVersion: "v1",
  spec: storagePoolSpec,
  status: storagePoolStatus,
  initialStatus: {},
});
