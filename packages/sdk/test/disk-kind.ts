import { z } from "zod";
import { defineKind, type Kind } from "../src/resource/kind.ts";

/** What is asked of a disk. */
export interface DiskSpec {
  readonly sizeBytes: number;
  readonly format: "qcow2" | "raw";
  readonly host?: string;
  readonly limits: { readonly iops: number; readonly burst?: number };
}

/** A spec as it is written by a caller. */
export interface DiskInput {
  readonly sizeBytes: number;
  readonly format?: "qcow2" | "raw";
  readonly host?: string;
  readonly limits?: { readonly iops?: number; readonly burst?: number };
}

/** What is known of a disk. */
export interface DiskStatus {
  readonly externalName?: string;
  readonly sizeBytes?: number;
}

/** The kind that the tests work with. */
export const disk: Kind<DiskSpec, DiskStatus, DiskInput> = defineKind<DiskSpec, DiskStatus, DiskInput>()({
  kind: "Disk",
  apiVersion: "v1",
  spec: z.object({
    sizeBytes: z.int().positive(),
    format: z.enum(["qcow2", "raw"]).default("qcow2"),
    host: z.string().exactOptional(),
    limits: z.object({ iops: z.int().default(1000), burst: z.int().exactOptional() }).default({ iops: 1000 }),
  }) as z.ZodType<DiskSpec>,
  status: z.object({ externalName: z.string().exactOptional(), sizeBytes: z.int().exactOptional() }),
  initialStatus: {},
  immutable: ["/format"],
  finalizers: ["test.disk"],
  usage: (spec) => ({ bytes: spec.sizeBytes }),
  validate: (object, old) => [
    ...(object.spec.sizeBytes % 512 === 0 ? [] : [{ path: "/sizeBytes", message: "must be a multiple of 512" }]),
    ...(old !== undefined && object.spec.sizeBytes < old.spec.sizeBytes
      ? [{ path: "/sizeBytes", message: "cannot shrink" }]
      : []),
  ],
});
