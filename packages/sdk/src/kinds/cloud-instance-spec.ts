import { schemaOf } from "@vdc-os/core";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";

/** What an instance in an outside cloud must be. */
export interface CloudInstanceSpec {
  /** The cloud connector's name. */
  readonly cloud: string;
  /** The image's name in that cloud. */
  readonly image: string;
  readonly size: string;
  readonly region?: string;
  readonly networks: readonly string[];
  /** Handed to the guest. Never a secret. */
  readonly userData?: string;
}

/** What an instance in an outside cloud is. */
export interface CloudInstanceStatus {
  readonly instanceId?: string;
  /** The token of the request that made it. */
  readonly token?: string;
  readonly state?: string;
  readonly addresses?: readonly string[];
  readonly fault?: string;
}

/** Schema of {@link CloudInstanceSpec}. */
export const cloudInstanceSpec: z.ZodType<CloudInstanceSpec> = schemaOf<CloudInstanceSpec>()(
  z.object({
    cloud: z.string(),
    image: z.string(),
    size: z.string(),
    region: z.string().exactOptional(),
    networks: z.array(z.string()).default([]),
    userData: z.string().max(65536).exactOptional(),
  }),
);

/** Schema of {@link CloudInstanceStatus}. */
export const cloudInstanceStatus: z.ZodType<CloudInstanceStatus> = schemaOf<CloudInstanceStatus>()(
  z.object({
    instanceId: z.string().exactOptional(),
    token: z.string().exactOptional(),
    state: z.string().exactOptional(),
    addresses: z.array(z.string()).exactOptional(),
    fault: z.string().exactOptional(),
  }),
);

/** An instance as a caller asks for it. */
export type CloudInstanceInput = Pick<CloudInstanceSpec, "cloud" | "image" | "size"> & Partial<CloudInstanceSpec>;

/** The finalizer that holds an instance until the cloud has removed it. */
export const cloudInstanceFinalizer = "vdc.cloud-instance";

/** Instances in outside clouds. */
export const cloudInstanceKind: Kind<CloudInstanceSpec, CloudInstanceStatus, CloudInstanceInput> = defineKind<
  CloudInstanceSpec,
  CloudInstanceStatus,
  CloudInstanceInput
>()({
  kind: "CloudInstance",
  apiVersion: "v1",
  spec: cloudInstanceSpec,
  status: cloudInstanceStatus,
  initialStatus: {},
  immutable: ["/cloud", "/image", "/size", "/region", "/networks", "/userData"],
  finalizers: [cloudInstanceFinalizer],
});
