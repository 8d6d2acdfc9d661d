import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { identifier, type OwnerStamp, objectName, ownerStamp } from "../../contract/ownership.ts";
import type { OperationsOf } from "../../extension-point/contract.ts";
import { unary } from "../../extension-point/operation.ts";
import { type Bytes, bytes } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";
import { type Volume, type VolumeSource, volume, volumeSource } from "./volume.ts";

/** Input of `layering.createOverlay`. */
export interface CreateOverlay {
  readonly name: string;
  /** The volume or snapshot that unwritten blocks are read from. A volume must not be written while it has overlays; one whose snapshot has some may be. */
  readonly parent: VolumeSource;
  /** At least the parent's size. Defaults to it. */
  readonly capacityBytes?: Bytes;
  readonly owner?: OwnerStamp;
}

/**
 * Facet `layering` (RBD layering, QEMU backing files): a volume whose unwritten blocks are those of another. It is the bare mechanism
 * that linked clones are built on: no policy, no reference counting. Limits: `maxDepth` (0 for no limit), `parents` (`volume`, `snapshot`: what an
 * overlay can be made of; `volume` alone unless told; another kind fails with `UNIMPLEMENTED`).
 */
export interface LayeringFacet {
  /** Creates a volume that stores only its differences to the parent, in one metadata write. The parent becomes read-only. */
  createOverlay(input: CreateOverlay, context: OperationContext): Promise<Volume>;
  /** Copies into the volume all that it reads from its parent, then forgets the parent. Reports progress; cancelling loses nothing. Works while attached. */
  copyUp(input: { readonly volumeId: string }, context: OperationContext): Promise<Volume>;
}

/** Input of `clones.cloneVolume`. */
export interface CloneVolume {
  readonly name: string;
  readonly source: VolumeSource;
  /** `linked` shares the parent's blocks, `full` copies them, `any` lets the provider choose. */
  readonly want: "linked" | "full" | "any";
  /** At least the source's size. Defaults to it. */
  readonly capacityBytes?: Bytes;
  readonly owner?: OwnerStamp;
}

/** What a clone turned out to be. */
export interface CloneResult {
  readonly volume: Volume;
  /** How the blocks were had. */
  readonly kind: "linked" | "reflink" | "full";
  /** Bytes shared with the source. */
  readonly sharedBytes: Bytes;
  /** How many volumes a read may go through. 1 for one that stands alone. */
  readonly depth: number;
}

/**
 * Facet `clones` (CSI CLONE_VOLUME, VMware linked clones). Limits: `kinds`, `maxDepth`, `maxChildren` (0 for no limit), `sources` (`volume`, `snapshot`: what can be
 * cloned; `volume` alone unless told; another kind fails with `UNIMPLEMENTED`), `online` (VMware Instant Clone: whether a volume can be cloned while it is
 * attached for writing; false unless told).
 */
export interface ClonesFacet {
  /**
   * Makes a volume with the content of another volume or a snapshot. A volume that has been cloned is read-only until its last linked child is gone. One that is
   * attached for writing fails with `FAILED_PRECONDITION` unless `online` is true: then the clone is crash-consistent, as a snapshot, and the volume stays writable.
   */
  cloneVolume(input: CloneVolume, context: OperationContext): Promise<CloneResult>;
}

/** A snapshot that clones read from. */
export interface LineageSnapshot {
  readonly snapshotId: string;
  readonly name: string;
  /** Nobody's: deleted by its owner, or taken for its clones alone. It goes with the last of them. */
  readonly kept: boolean;
  readonly children: readonly string[];
}

/** A volume's place in its family. */
export interface Lineage {
  readonly volumeId: string;
  readonly name: string;
  /** The volume whose blocks it shares, or whose snapshot's. */
  readonly parentVolumeId?: string;
  /** The snapshot of the parent that it reads, where that is not the volume itself, and is known. */
  readonly parentSnapshotId?: string;
  /** The volumes that read from it or from a snapshot of it. */
  readonly children: readonly string[];
  /** 1 for a volume without a parent. */
  readonly depth: number;
  /** Deleted by its owner, and kept only for its children: its name is free, and it goes with the last of them. */
  readonly tombstoned: boolean;
  /** The snapshots of it that others read from, those too that nobody else sees. Absent where there are none, and where the provider does not tell. */
  readonly snapshots?: readonly LineageSnapshot[];
}

/** Facet `lineage`: who shares blocks with whom (RBD flatten, ZFS promote). Limits: `promote` (`copies` where it copies as `flatten` does; `relinks` where it does not). */
export interface LineageFacet {
  getLineage(input: { readonly volumeId: string }, context: OperationContext): Promise<Lineage>;
  /** The family of a volume, or of all: parents before children. */
  lineageTree(input: { readonly volumeId?: string }, context: OperationContext): Promise<readonly Lineage[]>;
  /** Makes a linked clone stand alone, while in use. Reports progress. */
  flatten(input: { readonly volumeId: string }, context: OperationContext): Promise<Volume>;
  /** Makes a linked clone independent of its parent's deletion, so that a tombstoned parent without other children goes. */
  promote(input: { readonly volumeId: string }, context: OperationContext): Promise<Volume>;
}

const volumeRef = z.object({ volumeId: identifier });

/** Schema of {@link Lineage}. */
export const lineage: z.ZodType<Lineage> = schemaOf<Lineage>()(
  z.object({
    volumeId: identifier,
    name: z.string(),
    parentVolumeId: identifier.exactOptional(),
    parentSnapshotId: identifier.exactOptional(),
    children: z.array(identifier),
    depth: z.int(),
    tombstoned: z.boolean(),
    snapshots: z
      .array(
        z.object({
          snapshotId: identifier,
          name: z.string(),
          kept: z.boolean(),
          children: z.array(identifier),
        }),
      )
      .exactOptional(),
  }),
);

/** The operations of {@link LayeringFacet}. */
export const layeringOperations: OperationsOf<LayeringFacet> = {
  createOverlay: unary({
    summary: "Creates a volume whose unwritten blocks are those of another.",
    input: schemaOf<CreateOverlay>()(
      z.object({
        name: objectName,
        parent: volumeSource,
        capacityBytes: bytes.exactOptional(),
        owner: ownerStamp.exactOptional(),
      }),
    ),
    output: volume,
    idempotent: true,
    errors: [
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "PERMISSION_DENIED",
    ],
  }),
  copyUp: unary({
    summary: "Copies into a volume all that it reads from its parent, then forgets the parent.",
    input: volumeRef,
    output: volume,
    idempotent: true,
    errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "ABORTED", "FAILED_PRECONDITION", "PERMISSION_DENIED"],
  }),
};

/** The operations of {@link ClonesFacet}. */
export const clonesOperations: OperationsOf<ClonesFacet> = {
  cloneVolume: unary({
    summary: "Makes a volume with the content of another volume or of a snapshot.",
    input: schemaOf<CloneVolume>()(
      z.object({
        name: objectName,
        source: volumeSource,
        want: z.enum(["linked", "full", "any"]),
        capacityBytes: bytes.exactOptional(),
        owner: ownerStamp.exactOptional(),
      }),
    ),
    output: schemaOf<CloneResult>()(
      z.object({ volume, kind: z.enum(["linked", "reflink", "full"]), sharedBytes: bytes, depth: z.int().positive() }),
    ),
    idempotent: true,
    errors: [
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
    ],
  }),
};

/** The operations of {@link LineageFacet}. */
export const lineageOperations: OperationsOf<LineageFacet> = {
  getLineage: unary({
    summary: "Returns a volume's place in its family.",
    input: volumeRef,
    output: lineage,
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  lineageTree: unary({
    summary: "Returns the family of a volume, or of all, parents before children.",
    input: z.object({ volumeId: identifier.exactOptional() }),
    output: z.array(lineage),
    idempotent: true,
    errors: ["NOT_FOUND"],
  }),
  flatten: unary({
    summary: "Makes a linked clone stand alone.",
    input: volumeRef,
    output: volume,
    idempotent: true,
    errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "ABORTED", "FAILED_PRECONDITION", "PERMISSION_DENIED"],
  }),
  promote: unary({
    summary: "Makes a linked clone independent of its parent's deletion.",
    input: volumeRef,
    output: volume,
    idempotent: true,
    errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "ABORTED", "FAILED_PRECONDITION"],
  }),
};
