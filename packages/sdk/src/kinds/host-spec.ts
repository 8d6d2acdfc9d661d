import { bytes, type Bytes, schemaOf } from "@vdc-os/core";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";

/** What a host is to be used for. */
export interface HostSpec {
  /** Whether new VMs may be placed on it. */
  readonly schedulable: boolean;
}

/** What a host is. */
export interface HostStatus {
  readonly state?: "connected" | "disconnected";
  readonly hostId?: string;
  readonly bootId?: string;
  readonly address?: string;
  readonly failureDomain?: string;
  readonly cpus?: number;
  readonly memoryBytes?: Bytes;
  /** How VMs are run: `kvm`, `tcg`. */
  readonly accelerator?: string;
  /** How that was found out. */
  readonly acceleratorEvidence?: string;
  readonly monitorVersion?: string;
}

/** Schema of {@link HostSpec}. */
export const hostSpec: z.ZodType<HostSpec> = schemaOf<HostSpec>()(z.object({ schedulable: z.boolean() }));

/** Schema of {@link HostStatus}. */
export const hostStatus: z.ZodType<HostStatus> = schemaOf<HostStatus>()(
  z.object({
    state: z.enum(["connected", "disconnected"]).exactOptional(),
    hostId: z.string().exactOptional(),
    bootId: z.string().exactOptional(),
    address: z.string().exactOptional(),
    failureDomain: z.string().exactOptional(),
    cpus: z.number().exactOptional(),
    memoryBytes: bytes.exactOptional(),
    accelerator: z.string().exactOptional(),
    acceleratorEvidence: z.string().exactOptional(),
    monitorVersion: z.string().exactOptional(),
  }),
);

/** Hosts. */
export const hostKind: Kind<HostSpec, HostStatus> = defineKind<HostSpec, HostStatus>()({
  kind: "Host",
  apiVersion: "v1",
  spec: hostSpec,
  status: hostStatus,
  initialStatus: {},
});
