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
  readonly want?: "linked" | "full" | "any" | undefined;
  readonly imagePath?: string | undefined;
  readonly imageFormat?: string | undefined;
}

/** A volume as this provider knows it. Its id is the one that the provider underneath gave. */
export interface CloneRecord {
  readonly volumeId: string;
  /** The caller's name. Free for others once the volume is tombstoned. */
  readonly name: string;
  /** Its name in the provider underneath, never used twice. */
  readonly baseName: string;
  readonly request: CloneRequest;
  /** The volume whose blocks it shares. */
  readonly parentVolumeId?: string | undefined;
  /** Deleted by its owner, and kept for its children. */
  readonly tombstoned?: boolean | undefined;
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
  | { readonly kind: "flatten"; readonly volumeId: string };

const request: z.ZodType<CloneRequest> = z.object({
  kind: z.enum(["empty", "clone", "import"]),
  capacityBytes: z.int().nonnegative().optional(),
  owner: ownerStamp.optional(),
  parameters: z.record(z.string(), z.string()).optional(),
  accessibleHosts: z.array(z.string()).optional(),
  sourceVolumeId: z.string().optional(),
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
  tombstoned: z.boolean().optional(),
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
]);

/** Throws `ALREADY_EXISTS` unless both ask for the same. */
export function assertSameRequest(name: string, present: CloneRequest, asked: CloneRequest): void {
  if (keyOf(present) === keyOf(asked)) return;
  throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by a volume with another spec`, {
    reason: "VDC_VOLUME_EXISTS",
  });
}

function keyOf(request: CloneRequest): string {
  const { owner } = request;
  return JSON.stringify([
    request.kind,
    request.capacityBytes,
    owner && [owner.datacenter, owner.tenant, owner.kind, owner.name, owner.uid],
    Object.entries(request.parameters ?? {}).sort(([a], [b]) => (a < b ? -1 : 1)),
    request.accessibleHosts && [...new Set(request.accessibleHosts)].sort(),
    request.sourceVolumeId,
    request.want,
    request.imagePath,
    request.imageFormat,
  ]);
}
