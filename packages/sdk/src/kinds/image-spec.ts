import { objectName, schemaOf } from "@vdc-os/core";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";

/** What a golden image is made of: how it boots, and the volume that VMs clone as their first disk. */
export interface ImageSpec {
  readonly boot:
    | {
        readonly kind: "kernel";
        /** A file that every host can read. */
        readonly kernel: string;
        readonly initrd?: string;
        /** The kernel's command line. A VM's own words are added to it. */
        readonly commandLine: string;
      }
    | { readonly kind: "disk" };
  /** The volume with the image's content. Absent for an image without a disk. */
  readonly volume?: string;
}

/** Whether VMs can be made from it. */
export interface ImageStatus {
  readonly ready?: boolean;
}

/** Schema of {@link ImageSpec}. */
export const imageSpec: z.ZodType<ImageSpec> = schemaOf<ImageSpec>()(
  z.object({
    boot: z.discriminatedUnion("kind", [
      z.object({
        kind: z.literal("kernel"),
        kernel: z.string(),
        initrd: z.string().exactOptional(),
        commandLine: z.string(),
      }),
      z.object({ kind: z.literal("disk") }),
    ]),
    volume: objectName.exactOptional(),
  }),
);

/** Schema of {@link ImageStatus}. */
export const imageStatus: z.ZodType<ImageStatus> = schemaOf<ImageStatus>()(
  z.object({ ready: z.boolean().exactOptional() }),
);

/** Golden images. */
export const imageKind: Kind<ImageSpec, ImageStatus> = defineKind<ImageSpec, ImageStatus>()({
  kind: "Image",
  apiVersion: "v1",
  spec: imageSpec,
  status: imageStatus,
  initialStatus: {},
  immutable: ["/volume"],
});
