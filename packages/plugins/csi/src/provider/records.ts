import { type OwnerStamp, ownerStamp, VdcError } from "@vdc-os/core";
import { type AccessMode, type VolumeSource, type VolumeTransport, volumeTransport } from "@vdc-os/core/storage/v1";
import { z } from "zod";
import type { TextMap } from "../spec/volume-messages.ts";

/** What a volume was asked to be: what a repeated create is held against. */
export interface VolumeRequest {
  /** Absent for a clone of its source's size. */
  readonly capacityBytes?: number | undefined;
  readonly owner?: OwnerStamp | undefined;
  readonly parameters: TextMap;
  readonly accessibleHosts?: readonly string[] | undefined;
  readonly source?: VolumeSource | undefined;
}

/** What the driver has for a volume of this package's. */
export interface Backing {
  /** The name that the driver was given, never used twice. */
  readonly csiName: string;
  /** Absent while it is being made. */
  readonly csiId?: string | undefined;
  readonly volumeContext: TextMap;
  /** The driver's id of what it began with: to repeat a create whose answer never came. */
  readonly csiSource?: { readonly kind: "volume" | "snapshot"; readonly csiId: string } | undefined;
}

/** A volume on a host: written before the first call to the driver, so that whatever was begun can be ended. */
export interface Publication {
  readonly host: string;
  readonly nodeId: string;
  readonly csiId: string;
  readonly access: AccessMode;
  readonly stagePath: string;
  readonly targetPath: string;
  /** What the controller told the node. */
  readonly publishContext: TextMap;
  /** How the host reaches it. Absent until it is published. */
  readonly transport?: VolumeTransport | undefined;
}

/** A volume's owner. */
export interface VolumeOwner {
  readonly generation: number;
  readonly publication: Publication;
}

/** A volume as this provider knows it. Its id is this provider's own: a driver may use its ids again. */
export interface VolumeRecord {
  readonly volumeId: string;
  readonly name: string;
  readonly request: VolumeRequest;
  readonly backing: Backing;
  readonly capacityBytes: number;
  readonly createdAt: number;
  readonly accessibleHosts?: readonly string[] | undefined;
  /** The highest attachment generation that was seen. */
  readonly highest: number;
  readonly owner?: VolumeOwner | undefined;
  /** Publications on hosts that could not be reached when their owner was cut off by the controller: to be cleared before the host gets the volume again. */
  readonly leftovers: readonly Publication[];
  /** The driver's volumes that a revert has replaced, and that are not deleted yet. */
  readonly retired: readonly string[];
  /** How often it was reverted: part of the names of the driver's volumes that came of it. */
  readonly reverts?: number | undefined;
  /** The node has to be told of a new size when the volume is published. */
  readonly nodeExpansion?: boolean | undefined;
  /** Being deleted. */
  readonly deleting?: boolean | undefined;
}

/** A snapshot that a host reads: a volume of its own, made of it. */
export interface SnapshotReader {
  readonly backing: Backing;
  readonly publication?: Publication | undefined;
}

/** A snapshot as this provider knows it. */
export interface SnapshotRecord {
  readonly snapshotId: string;
  readonly name: string;
  readonly csiName: string;
  /** Absent while it is being made. */
  readonly csiId?: string | undefined;
  readonly volumeId: string;
  /** The driver's id of the volume that it was taken of. */
  readonly csiVolumeId: string;
  readonly owner?: OwnerStamp | undefined;
  readonly capacityBytes: number;
  readonly createdAt: number;
  readonly ready: boolean;
  /** By host. */
  readonly readers: Readonly<Record<string, SnapshotReader>>;
  /** Being deleted. */
  readonly deleting?: boolean | undefined;
}

const textMap = z.record(z.string(), z.string());
const source = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("volume"), volumeId: z.string() }),
  z.object({ kind: z.literal("snapshot"), snapshotId: z.string() }),
]);
const backing: z.ZodType<Backing> = z.object({
  csiName: z.string(),
  csiId: z.string().optional(),
  volumeContext: textMap,
  csiSource: z.object({ kind: z.enum(["volume", "snapshot"]), csiId: z.string() }).optional(),
});
const publication: z.ZodType<Publication> = z.object({
  host: z.string(),
  nodeId: z.string(),
  csiId: z.string(),
  access: z.enum(["readWrite", "readOnly"]),
  stagePath: z.string(),
  targetPath: z.string(),
  publishContext: textMap,
  transport: volumeTransport.optional(),
});

/** Schema of {@link VolumeRecord}. */
export const volumeRecord: z.ZodType<VolumeRecord> = z.object({
  volumeId: z.string(),
  name: z.string(),
  request: z.object({
    capacityBytes: z.number().optional(),
    owner: ownerStamp.optional(),
    parameters: textMap,
    accessibleHosts: z.array(z.string()).optional(),
    source: source.optional(),
  }),
  backing,
  capacityBytes: z.number(),
  createdAt: z.number(),
  accessibleHosts: z.array(z.string()).optional(),
  highest: z.number(),
  owner: z.object({ generation: z.number(), publication }).optional(),
  leftovers: z.array(publication),
  retired: z.array(z.string()),
  reverts: z.number().optional(),
  nodeExpansion: z.boolean().optional(),
  deleting: z.boolean().optional(),
});

/** Schema of {@link SnapshotRecord}. */
export const snapshotRecord: z.ZodType<SnapshotRecord> = z.object({
  snapshotId: z.string(),
  name: z.string(),
  csiName: z.string(),
  csiId: z.string().optional(),
  volumeId: z.string(),
  csiVolumeId: z.string(),
  owner: ownerStamp.optional(),
  capacityBytes: z.number(),
  createdAt: z.number(),
  ready: z.boolean(),
  readers: z.record(z.string(), z.object({ backing, publication: publication.optional() })),
  deleting: z.boolean().optional(),
});

/** Throws `ALREADY_EXISTS` unless both ask for the same. */
export function assertSameRequest(name: string, present: VolumeRequest, asked: VolumeRequest): void {
  if (keyOf(present) === keyOf(asked)) return;
  throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by a volume with another spec`, {
    reason: "VDC_VOLUME_EXISTS",
  });
}

/** A stamp as text, to compare it. */
export function stampKey(owner: OwnerStamp | undefined): string {
  return JSON.stringify(owner && [owner.datacenter, owner.tenant, owner.kind, owner.name, owner.uid]);
}

function keyOf(request: VolumeRequest): string {
  const { source: from, accessibleHosts } = request;
  return JSON.stringify([
    request.capacityBytes,
    stampKey(request.owner),
    Object.entries(request.parameters).sort(([a], [b]) => (a < b ? -1 : 1)),
    accessibleHosts && [...new Set(accessibleHosts)].sort(),
    from && [from.kind, from.kind === "volume" ? from.volumeId : from.snapshotId],
  ]);
}
