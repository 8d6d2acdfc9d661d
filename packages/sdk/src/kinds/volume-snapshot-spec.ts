import { type Bytes, bytes, objectName, schemaOf, type Timestamp, timestamp } from "@vdc-os/core";
import { z } from "zod";
import { defineKind, type Kind } from "../resource/kind.ts";

/** What is kept of a volume. */
export interface VolumeSnapshotSpec {
  /** The volume, of the same tenant. Can't be changed. It can't be deleted while it has snapshots. */
  readonly volume: string;
}

/** What a snapshot is. */
export interface VolumeSnapshotStatus {
  /** The storage provider that has it. */
  readonly storage?: string;
  /** The provider's ids. */
  readonly snapshotId?: string;
  readonly volumeId?: string;
  /** The volume's size at that moment. */
  readonly capacityBytes?: Bytes;
  /** What deleting it would give back, when it was last looked at. */
  readonly exclusiveBytes?: Bytes;
  /** The moment. */
  readonly takenAt?: Timestamp;
}

/** Schema of {@link VolumeSnapshotSpec}. */
export const volumeSnapshotSpec: z.ZodType<VolumeSnapshotSpec> = schemaOf<VolumeSnapshotSpec>()(
  z.object({ volume: objectName }),
);

/** Schema of {@link VolumeSnapshotStatus}. */
export const volumeSnapshotStatus: z.ZodType<VolumeSnapshotStatus> = schemaOf<VolumeSnapshotStatus>()(
  z.object({
    storage: z.string().exactOptional(),
    snapshotId: z.string().exactOptional(),
    volumeId: z.string().exactOptional(),
    capacityBytes: bytes.exactOptional(),
    exclusiveBytes: bytes.exactOptional(),
    takenAt: timestamp.exactOptional(),
  }),
);

/** The finalizer that holds a snapshot until the provider has deleted it. */
export const volumeSnapshotFinalizer = "vdc.volume-snapshot";

/** Snapshots of volumes: crash-consistent, also of a volume that a running VM writes to. */
export const volumeSnapshotKind: Kind<VolumeSnapshotSpec, VolumeSnapshotStatus> = defineKind<
  VolumeSnapshotSpec,
  VolumeSnapshotStatus
>()({
  kind: "VolumeSnapshot",
  apiVersion: "v1",
  spec: volumeSnapshotSpec,
  status: volumeSnapshotStatus,
  initialStatus: {},
  immutable: ["/volume"],
  finalizers: [volumeSnapshotFinalizer],
});
