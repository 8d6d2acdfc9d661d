import { bytes, schemaOf } from "@vdc-os/core";
import { type QosPolicy, storageProvider } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";

/** A value that a provider's attribute can have. */
export type AttributeValue = string | number | boolean;

/** What an attribute of a provider must be: one of some values, or a number of at least so much. Where both are given, both hold. */
export interface AttributeConstraint {
  readonly in?: readonly AttributeValue[];
  readonly atLeast?: number;
}

/** What a volume must have of its storage, in place of a provider's name. What is left out asks for nothing. */
export interface StoragePolicySpec {
  /** Facets that must be available: `snapshots`, `changedBlocks`. */
  readonly facets: readonly string[];
  /** What the provider's attributes must be, by name: see `StorageAttributes`. */
  readonly attributes: Readonly<Record<string, AttributeConstraint>>;
  /** Whether a volume takes space only for what is written (`thin`), or all of its size (`thick`). Defaults to `any`. */
  readonly provisioning: "thin" | "thick" | "any";
  /** `required`: everything that the provider keeps is encrypted, as its attribute `encryptedAtRest` says. Defaults to `any`. */
  readonly encryption: "required" | "any";
  /** The fraction of a pool that must be free when a volume is placed there. Defaults to 0. */
  readonly headroom: number;
  /** How far a pool's promises may exceed its space once a volume is placed there. Defaults to what the pool allows. */
  readonly maxOverSubscription?: number;
  /** Limits of each volume's data path. Needs facet `qos`. */
  readonly qos?: QosPolicy;
  /** Labels of `StoragePool` objects: of pools that satisfy the rest, those with more of these are taken first. */
  readonly preferredLabels: Readonly<Record<string, string>>;
  /** Labels that a `StoragePool` object must have. */
  readonly requiredLabels: Readonly<Record<string, string>>;
}

/** Nothing is found out about a policy itself: what it means for a volume is in the volume's conditions. */
export type StoragePolicyStatus = Readonly<Record<string, never>>;

/** Schema of a `QosPolicy`. */
export const qosPolicy: z.ZodType<QosPolicy> = z.object({
  iops: z.number().nonnegative(),
  bytesPerSecond: bytes,
  burstOperations: z.number().nonnegative().exactOptional(),
  burstBytes: bytes.exactOptional(),
});

/** Schema of {@link StoragePolicySpec}. */
export const storagePolicySpec: z.ZodType<StoragePolicySpec> = schemaOf<StoragePolicySpec>()(
  z.object({
    facets: z.array(z.string()).default([]),
    attributes: z
      .record(
        z.string(),
        z.object({
          in: z
            .array(z.union([z.string(), z.number(), z.boolean()]))
            .min(1)
            .exactOptional(),
          atLeast: z.number().exactOptional(),
        }),
      )
      .default({}),
    provisioning: z.enum(["thin", "thick", "any"]).default("any"),
    encryption: z.enum(["required", "any"]).default("any"),
    headroom: z.number().min(0).max(1).default(0),
    maxOverSubscription: z.number().positive().exactOptional(),
    qos: qosPolicy.exactOptional(),
    preferredLabels: z.record(z.string(), z.string()).default({}),
    requiredLabels: z.record(z.string(), z.string()).default({}),
  }),
);

/** A policy as a caller writes it. */
export type StoragePolicyInput = Partial<StoragePolicySpec>;

/** The finalizer that holds a policy until no volume names it. */
export const storagePolicyFinalizer = "vdc.storage-policy";

/** Storage policies (vSphere SPBM, Cinder volume types). They can be changed: their volumes are held against them again. */
export const storagePolicyKind: Kind<StoragePolicySpec, StoragePolicyStatus, StoragePolicyInput> = defineKind<
  StoragePolicySpec,
  StoragePolicyStatus,
  StoragePolicyInput
>()({
  kind: "StoragePolicy",
  apiVersion: "v1",
  spec: storagePolicySpec,
  status: z.object({}) as z.ZodType<StoragePolicyStatus>,
  initialStatus: {},
  finalizers: [storagePolicyFinalizer],
  validate({ spec }) {
    const unknown = spec.facets.filter((name) => !(name in storageProvider.facets));
    const empty = Object.entries(spec.attributes).filter(
      ([, { in: values, atLeast }]) => !values && atLeast === undefined,
    );
    return [
      ...unknown.map((name) => ({ path: "/facets", message: `storage has no facet '${name}'` })),
      ...empty.map(([name]) => ({ path: `/attributes/${name}`, message: "say what it must be: `in`, `atLeast`" })),
    ];
  },
});
