import { type OwnerStamp, ownerStamp, VdcError } from "@vdc-os/core";
import { z } from "zod";

/** What a volume was asked to be: what a repeated create is held against. */
export interface CloneRequest {
  readonly kind: "empty" | "clone" | "import";
  readonly capacityBytes?: number | undefined;
  readonly owner?: OwnerStamp | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly accessibleHosts?: readonly string[] | undefined;
  readonly sourceVolumeId?: string | undefined;
  readonly sourceSnapshotId?: string | undefined;
  readonly want?: "linked" | "full" | "any" | undefined;
  readonly imagePath?: string | undefined;
  readonly imageFormat?: string | undefined;
}

/** What a volume reads from. */
export interface ParentLink {
  /** The volume whose blocks it shares, or whose snapshot's. */
  readonly parentVolumeId?: string | undefined;
  /** The snapshot of that volume that it reads, where it is not the volume itself. */
  readonly parentSnapshotId?: string | undefined;
}

/** What a clone turned out to be that the provider underneath made by itself: it keeps count of it. */
export interface MadeBelow {
  readonly kind: "linked" | "reflink" | "full";
  readonly sharedBytes: number;
  readonly depth: number;
}

/** A volume as this provider knows it. Its id is the one that the provider underneath gave. */
export interface CloneRecord extends ParentLink {
  readonly volumeId: string;
  /** The caller's name. Free for others once the volume is tombstoned. */
  readonly name: string;
  /** Its name in the provider underneath, never used twice. */
  readonly baseName: string;
  readonly request: CloneRequest;
  /** Deleted by its owner, and kept for its children. */
  readonly tombstoned?: boolean | undefined;
  readonly madeBelow?: MadeBelow | undefined;
}

/** What the name of a volume leads to: the volume, or the one that is being made under it. */
export interface NameRecord {
  readonly baseName: string;
  readonly request: CloneRequest;
  /** Absent while it is being made. */
  readonly volumeId?: string | undefined;
}

/** Something that was begun: written before the first side effect, and removed with the last. */
export type PendingRecord =
  | { readonly kind: "create"; readonly name: string; readonly baseName: string }
  | { readonly kind: "delete"; readonly volumeId: string }
  /** A change after which the volume may have no parent any more: a flatten, a revert, a resize. */
  | { readonly kind: "flatten"; readonly volumeId: string }
  | { readonly kind: "createSnapshot"; readonly baseName: string; readonly name?: string | undefined }
  | { readonly kind: "deleteSnapshot"; readonly snapshotId: string }
  | { readonly kind: "createGroup"; readonly name: string }
  | { readonly kind: "deleteGroup"; readonly groupSnapshotId: string };

const request: z.ZodType<CloneRequest> = z.object({
  kind: z.enum(["empty", "clone", "import"]),
  capacityBytes: z.int().nonnegative().optional(),
  owner: ownerStamp.optional(),
  parameters: z.record(z.string(), z.string()).optional(),
  accessibleHosts: z.array(z.string()).optional(),
  sourceVolumeId: z.string().optional(),
  sourceSnapshotId: z.string().optional(),
  want: z.enum(["linked", "full", "any"]).optional(),
  imagePath: z.string().optional(),
  imageFormat: z.string().optional(),
});

/** Schema of {@link CloneRecord}. */
export const cloneRecord: z.ZodType<CloneRecord> = z.object({
  volumeId: z.string(),
  name: z.string(),
  baseName: z.string(),
  request,
  parentVolumeId: z.string().optional(),
  parentSnapshotId: z.string().optional(),
  tombstoned: z.boolean().optional(),
  madeBelow: z
    .object({ kind: z.enum(["linked", "reflink", "full"]), sharedBytes: z.number(), depth: z.int() })
    .optional(),
});

/** Schema of {@link NameRecord}. */
export const nameRecord: z.ZodType<NameRecord> = z.object({
  baseName: z.string(),
  request,
  volumeId: z.string().optional(),
});

/** Schema of {@link PendingRecord}. */
export const pendingRecord: z.ZodType<PendingRecord> = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("create"), name: z.string(), baseName: z.string() }),
  z.object({ kind: z.literal("delete"), volumeId: z.string() }),
  z.object({ kind: z.literal("flatten"), volumeId: z.string() }),
  z.object({ kind: z.literal("createSnapshot"), baseName: z.string(), name: z.string().optional() }),
  z.object({ kind: z.literal("deleteSnapshot"), snapshotId: z.string() }),
  z.object({ kind: z.literal("createGroup"), name: z.string() }),
  z.object({ kind: z.literal("deleteGroup"), groupSnapshotId: z.string() }),
]);

/** Throws `ALREADY_EXISTS` unless both ask for the same. */
export function assertSameRequest(name: string, present: CloneRequest, asked: CloneRequest): void {
  if (keyOf(present) === keyOf(asked)) return;
  throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by a volume with another spec`, {
    reason: "VDC_VOLUME_EXISTS",
  });
}

/** An owner's stamp as text: equal for equal ones. */
export function ownerKey(owner: OwnerStamp | undefined): string {
  return JSON.stringify(owner && [owner.datacenter, owner.tenant, owner.kind, owner.name, owner.uid]) ?? "";
}

function keyOf(request: CloneRequest): string {
  return JSON.stringify([
    request.kind,
    request.capacityBytes,
    ownerKey(request.owner),
    Object.entries(request.parameters ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    request.accessibleHosts && [...new Set(request.accessibleHosts)].sort(),
    request.sourceVolumeId,
    request.want,
    request.imagePath,
    request.imageFormat,
    request.sourceSnapshotId,
  ]);
}
