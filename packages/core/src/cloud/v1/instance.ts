import { z } from "zod";
import { identifier, type OwnerStamp, objectName, ownerStamp } from "../../contract/ownership.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";

/** An owner stamp with a token that is one for each instance to create, however often it is tried; written in the same request that creates. */
export interface CloudStamp {
  readonly owner: OwnerStamp;
  /** Names the request: after a lost answer, `observeInstance` finds the instance by it. */
  readonly token: string;
  /** After this time a sweep may remove the instance if its owner is gone. Absent for none. */
  readonly leaseUntil?: Timestamp;
}

/** A size at a place, with its price where that is known. */
export interface Offering {
  readonly size: string;
  readonly region: string;
  readonly zone?: string;
  readonly cpus: number;
  readonly memoryBytes: Bytes;
  readonly available: boolean;
  readonly pricePerHour?: { readonly amount: number; readonly currency: string };
}

/** An image that instances start from. */
export interface CloudImage {
  readonly imageId: string;
  readonly name: string;
  readonly sizeBytes?: Bytes;
}

/** A network that instances can be on. */
export interface CloudNetwork {
  readonly networkId: string;
  readonly name: string;
}

/** Input of `createInstance`. */
export interface CreateInstance {
  readonly name: string;
  readonly image: string;
  readonly size: string;
  readonly region?: string;
  readonly zone?: string;
  readonly networks: readonly string[];
  /** Handed to the guest; never a secret. */
  readonly userData?: string;
  readonly stamp: CloudStamp;
}

/** Where an instance stands. */
export type InstanceState = "pending" | "running" | "stopped" | "deleting" | "failed";

/** An instance in a cloud. */
export interface CloudInstance {
  readonly instanceId: string;
  readonly name: string;
  readonly state: InstanceState;
  readonly image: string;
  readonly size: string;
  readonly region: string;
  readonly zone?: string;
  readonly addresses: readonly string[];
  readonly createdAt: Timestamp;
  /** Absent for an instance that somebody else made. */
  readonly stamp?: CloudStamp;
  /** Why it failed. */
  readonly fault?: string;
}

/** What is known of an instance. `ambiguous`: more than one instance carries the token, or it can't be told: ask a person, never try again blindly. */
export type InstanceObservation =
  | { readonly state: "absent" }
  | { readonly state: "present"; readonly instance: CloudInstance }
  | { readonly state: "ambiguous"; readonly instances: readonly CloudInstance[]; readonly reason: string };

/** A long operation in a cloud. */
export interface CloudOperation {
  readonly operationId: string;
  readonly state: "running" | "succeeded" | "failed" | "cancelled";
  /** 0 to 1, where it can be told. */
  readonly fraction?: number;
  readonly fault?: string;
}

/** Who the credentials are, and what they lack. */
export interface CredentialReport {
  readonly identity: string;
  readonly expiresAt?: Timestamp;
  readonly missingPermissions: readonly string[];
}

/** Schema of {@link CloudStamp}. */
export const cloudStamp: z.ZodType<CloudStamp> = schemaOf<CloudStamp>()(
  z.object({ owner: ownerStamp, token: identifier, leaseUntil: timestamp.exactOptional() }),
);

/** Schema of {@link Offering}. */
export const offering: z.ZodType<Offering> = schemaOf<Offering>()(
  z.object({
    size: identifier,
    region: z.string(),
    zone: z.string().exactOptional(),
    cpus: z.number(),
    memoryBytes: bytes,
    available: z.boolean(),
    pricePerHour: z.object({ amount: z.number(), currency: z.string() }).exactOptional(),
  }),
);

/** Schema of {@link CloudImage}. */
export const cloudImage: z.ZodType<CloudImage> = schemaOf<CloudImage>()(
  z.object({ imageId: identifier, name: z.string(), sizeBytes: bytes.exactOptional() }),
);

/** Schema of {@link CreateInstance}. */
export const createInstance: z.ZodType<CreateInstance> = schemaOf<CreateInstance>()(
  z.object({
    name: objectName,
    image: identifier,
    size: identifier,
    region: z.string().exactOptional(),
    zone: z.string().exactOptional(),
    networks: z.array(identifier),
    userData: z.string().max(65536).exactOptional(),
    stamp: cloudStamp,
  }),
);

/** Schema of {@link CloudInstance}. */
export const cloudInstance: z.ZodType<CloudInstance> = schemaOf<CloudInstance>()(
  z.object({
    instanceId: identifier,
    name: z.string(),
    state: z.enum(["pending", "running", "stopped", "deleting", "failed"]),
    image: z.string(),
    size: z.string(),
    region: z.string(),
    zone: z.string().exactOptional(),
    addresses: z.array(z.string()),
    createdAt: timestamp,
    stamp: cloudStamp.exactOptional(),
    fault: z.string().exactOptional(),
  }),
);

/** Schema of {@link InstanceObservation}. */
export const instanceObservation: z.ZodType<InstanceObservation> = z.discriminatedUnion("state", [
  z.object({ state: z.literal("absent") }),
  z.object({ state: z.literal("present"), instance: cloudInstance }),
  z.object({ state: z.literal("ambiguous"), instances: z.array(cloudInstance), reason: z.string() }),
]);

/** Schema of {@link CloudOperation}. */
export const cloudOperation: z.ZodType<CloudOperation> = schemaOf<CloudOperation>()(
  z.object({
    operationId: identifier,
    state: z.enum(["running", "succeeded", "failed", "cancelled"]),
    fraction: z.number().exactOptional(),
    fault: z.string().exactOptional(),
  }),
);

/** Schema of {@link CloudNetwork}. */
export const cloudNetwork: z.ZodType<CloudNetwork> = schemaOf<CloudNetwork>()(
  z.object({ networkId: identifier, name: z.string() }),
);

/** Schema of {@link CredentialReport}. */
export const credentialReport: z.ZodType<CredentialReport> = schemaOf<CredentialReport>()(
  z.object({ identity: z.string(), expiresAt: timestamp.exactOptional(), missingPermissions: z.array(z.string()) }),
);
