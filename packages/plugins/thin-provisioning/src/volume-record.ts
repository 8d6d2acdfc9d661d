import { readFileSync } from "node:fs";
import { type OwnerStamp, ownerStamp, VdcError } from "@vdc-os/core";
import { type AccessMode, type QosPolicy, type VolumeTransport, volumeTransport } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import { type EncryptionRecord, encryptionRecord } from "./key-reference.ts";
import {
  type CheckpointRecord,
  checkpointRecord,
  type PendingChange,
  pendingChange,
  type SnapshotRecord,
  snapshotRecord,
} from "./snapshot-record.ts";

/** The present attachment, as the volume's record holds it. */
export interface AttachmentRecord {
  readonly host: string;
  readonly access: AccessMode;
  readonly generation: number;
  readonly mode: "served" | "direct";
  readonly transport: VolumeTransport;
  /** It is being cut off: a storage process that reads this does not serve it, and the next owner waits until that is confirmed. */
  readonly ending: boolean;
}

/** What the volume was asked to be, after defaults: what a repeated create is held against. */
export interface VolumeRequest {
  readonly kind: "empty" | "overlay" | "import";
  readonly capacityBytes?: number | undefined;
  readonly owner?: OwnerStamp | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly accessibleHosts?: readonly string[] | undefined;
  readonly parentVolumeId?: string | undefined;
  readonly parentSnapshotId?: string | undefined;
  readonly imagePath?: string | undefined;
  readonly imageFormat?: string | undefined;
}

/** A volume's record: `volume.json`. It is the authority on who may use the volume. */
export interface VolumeRecord {
  readonly format: 1;
  readonly volumeId: string;
  readonly name: string;
  readonly capacityBytes: number;
  readonly createdAt: number;
  readonly request: VolumeRequest;
  /** The volume that its image reads from. */
  readonly parentVolumeId?: string | undefined;
  /** The snapshot of that volume that its image reads from, when it is not the volume itself. */
  readonly parentSnapshotId?: string | undefined;
  /** The layers below `disk.qcow2`, oldest first, with those that were deleted and are not merged yet. */
  readonly snapshots?: readonly SnapshotRecord[] | undefined;
  /** The layer that `disk.qcow2` lies on. */
  readonly activeLayer?: string | undefined;
  /** A change of the layers that was begun. */
  readonly pending?: PendingChange | undefined;
  readonly checkpoints?: readonly CheckpointRecord[] | undefined;
  readonly qos?: QosPolicy | undefined;
  /** All images of the volume are encrypted. Absent: none is. */
  readonly encryption?: EncryptionRecord | undefined;
  /** The image may be ahead of the record: it is looked at when the pool is opened. */
  readonly changing?: boolean | undefined;
  /** The highest attachment generation seen or revoked. Nothing up to it can be attached anew. */
  readonly highWater: number;
  readonly attachment?: AttachmentRecord | undefined;
}

const size = z.int().nonnegative();

const volumeRecord: z.ZodType<VolumeRecord> = z.object({
  format: z.literal(1),
  volumeId: z.string(),
  name: z.string(),
  capacityBytes: size,
  createdAt: z.number(),
  request: z.object({
    kind: z.enum(["empty", "overlay", "import"]),
    capacityBytes: size.optional(),
    owner: ownerStamp.optional(),
    parameters: z.record(z.string(), z.string()).optional(),
    accessibleHosts: z.array(z.string()).optional(),
    parentVolumeId: z.string().optional(),
    parentSnapshotId: z.string().optional(),
    imagePath: z.string().optional(),
    imageFormat: z.string().optional(),
  }),
  parentVolumeId: z.string().optional(),
  parentSnapshotId: z.string().optional(),
  snapshots: z.array(snapshotRecord).optional(),
  activeLayer: z.string().optional(),
  pending: pendingChange.optional(),
  checkpoints: z.array(checkpointRecord).optional(),
  qos: z
    .object({
      iops: z.number(),
      bytesPerSecond: z.number(),
      burstOperations: z.number().exactOptional(),
      burstBytes: z.number().exactOptional(),
    })
    .optional(),
  encryption: encryptionRecord.optional(),
  changing: z.boolean().optional(),
  highWater: size,
  attachment: z
    .object({
      host: z.string(),
      access: z.enum(["readWrite", "readOnly"]),
      generation: z.int().positive(),
      mode: z.enum(["served", "direct"]),
      transport: volumeTransport,
      ending: z.boolean(),
    })
    .optional(),
});

/** The cluster size of a volume's layers, in bytes. */
export function clusterBytesOf({ request }: Pick<VolumeRecord, "request">): number {
  return Number(request.parameters?.clusterBytes ?? 65_536);
}

/** The text of a record. Equal records have equal texts. */
export function formatRecord(record: VolumeRecord): string {
  return `${JSON.stringify(volumeRecord.parse(record), undefined, 2)}\n`;
}

/** Takes what was read for a record. Throws when it is none. */
export function parseRecord(data: unknown): VolumeRecord {
  return volumeRecord.parse(data);
}

/** Reads a record. Throws `DATA_LOSS` when it is not one, and passes what the file system throws. */
export function readRecord(path: string): VolumeRecord {
  const text = readFileSync(path, "utf8");
  try {
    return volumeRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw new VdcError("DATA_LOSS", `the volume's record '${path}' is damaged`, {
      reason: "VDC_VOLUME_RECORD_DAMAGED",
      cause,
    });
  }
}

/** Whether two requests ask for the same, after defaults. */
export function isSameRequest(a: VolumeRequest, b: VolumeRequest): boolean {
  return requestKey(a) === requestKey(b);
}

function requestKey(request: VolumeRequest): string {
  const { owner } = request;
  return JSON.stringify([
    request.kind,
    request.capacityBytes,
    owner && [owner.datacenter, owner.tenant, owner.kind, owner.name, owner.uid],
    Object.entries(request.parameters ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    [...(request.accessibleHosts ?? [])].sort(),
    request.parentVolumeId,
    request.parentSnapshotId,
    request.imagePath,
    request.imageFormat,
  ]);
}
