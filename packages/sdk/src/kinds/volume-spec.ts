import { type Bytes, bytes, objectName, schemaOf } from "@vdc-os/core";
import { defineKind, type Kind } from "../resource/kind.ts";
import { z } from "zod";

/** Where a volume's first content comes from. */
export type VolumeContent =
  | { readonly kind: "empty" }
  /** An image file that the storage provider can read. */
  | { readonly kind: "file"; readonly path: string; readonly format: string }
  /** Another volume of this datacenter, on the same storage provider. */
  | { readonly kind: "clone"; readonly volume: string; readonly want: "linked" | "full" | "any" };

/** What a volume must be. */
export interface VolumeSpec {
  /** The storage provider's name. */
  readonly storage: string;
  /** The virtual size. It can grow; content may be smaller, never larger. Defaults to the content's size; an empty volume needs it. */
  readonly capacityBytes?: Bytes;
  /** Defaults to `empty`. Can't be changed. */
  readonly content: VolumeContent;
  /** The provider's own settings. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** What a volume is. */
export interface VolumeStatus {
  /** The provider's id, once it exists. */
  readonly volumeId?: string;
  readonly capacityBytes?: Bytes;
  readonly allocatedBytes?: Bytes;
  /** How a clone was had: `linked`, `reflink` or `full`. */
  readonly cloneKind?: string;
  /** How long the provider took to create it, in milliseconds. */
  readonly createdInMs?: number;
  /** The highest attachment generation that was given out. */
  readonly generation?: number;
  /** The VM it is attached for, and the host. */
  readonly attachedTo?: { readonly vm: string; readonly host: string; readonly generation: number };
}

/** Schema of {@link VolumeSpec}. */
export const volumeSpec: z.ZodType<VolumeSpec> = schemaOf<VolumeSpec>()(
  z.object({
    storage: z.string(),
    capacityBytes: bytes.exactOptional(),
    content: z
      .discriminatedUnion("kind", [
        z.object({ kind: z.literal("empty") }),
        z.object({ kind: z.literal("file"), path: z.string(), format: z.string() }),
        z.object({ kind: z.literal("clone"), volume: objectName, want: z.enum(["linked", "full", "any"]) }),
      ])
      .default({ kind: "empty" }),
    parameters: z.record(z.string(), z.string()).default({}),
  }),
);

/** Schema of {@link VolumeStatus}. */
export const volumeStatus: z.ZodType<VolumeStatus> = schemaOf<VolumeStatus>()(
  z.object({
    volumeId: z.string().exactOptional(),
    capacityBytes: bytes.exactOptional(),
    allocatedBytes: bytes.exactOptional(),
    cloneKind: z.string().exactOptional(),
    createdInMs: z.number().exactOptional(),
    generation: z.int().exactOptional(),
    attachedTo: z.object({ vm: z.string(), host: z.string(), generation: z.int() }).exactOptional(),
  }),
);

/** A volume as a caller asks for it. */
export type VolumeInput = Pick<VolumeSpec, "storage"> & Partial<VolumeSpec>;

/** The finalizer that holds a volume until the provider has deleted it. */
export const volumeFinalizer = "vdc.volume";

/** Volumes. */
export const volumeKind: Kind<VolumeSpec, VolumeStatus, VolumeInput> = defineKind<
  VolumeSpec,
  VolumeStatus,
  VolumeInput
>()({
  kind: "Volume",
  apiVersion: "v1",
  spec: volumeSpec,
  status: volumeStatus,
  initialStatus: {},
  immutable: ["/storage", "/content", "/parameters"],
  finalizers: [volumeFinalizer],
  usage: (spec) => ({ bytes: spec.capacityBytes ?? 0 }),
  validate({ spec }, old) {
    if (spec.content.kind === "empty" && spec.capacityBytes === undefined) {
      return [{ path: "/capacityBytes", message: "an empty volume needs a size" }];
    }
    const before = old?.spec.capacityBytes;
    if (before !== undefined && (spec.capacityBytes ?? before) < before) {
      return [{ path: "/capacityBytes", message: `a volume can grow only: it has ${before} bytes` }];
    }
    return [];
  },
});
