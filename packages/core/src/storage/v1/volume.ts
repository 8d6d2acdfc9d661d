import { z } from "zod";
import {
  type FencingStrength,
  fencingStrength,
  type Generation,
  generation,
  identifier,
  type OwnerStamp,
  objectName,
  ownerStamp,
} from "../../contract/ownership.ts";
import { type Bytes, bytes, type Timestamp, timestamp } from "../../schema/quantity.ts";
import { schemaOf } from "../../schema/schema-of.ts";

/** A volume: a block device of a fixed virtual size. */
export interface Volume {
  /** The provider's id, opaque to others, never reused. */
  readonly volumeId: string;
  /** The caller's name, unique in the provider while the volume exists. */
  readonly name: string;
  /** Virtual size: what the guest sees. */
  readonly capacityBytes: Bytes;
  /** What it takes in the pool now. */
  readonly allocatedBytes: Bytes;
  /** What deleting it would give back: allocated, less what is shared with others. */
  readonly exclusiveBytes: Bytes;
  /** Creation time. */
  readonly createdAt: Timestamp;
  readonly owner?: OwnerStamp;
  /** The volume or snapshot whose content it began with, if any. */
  readonly parent?: VolumeSource;
  /** Hosts it can be attached to: attaching it to another fails with `FAILED_PRECONDITION`. Absent when it can be attached to any. */
  readonly accessibleHosts?: readonly string[];
  readonly parameters: Readonly<Record<string, string>>;
}

/** What a volume's content begins with. */
export type VolumeSource =
  | { readonly kind: "volume"; readonly volumeId: string }
  | { readonly kind: "snapshot"; readonly snapshotId: string };

/** Input of `createVolume`. */
export interface CreateVolume {
  /** Makes the call idempotent: the same name and spec returns the same volume; another spec fails with `ALREADY_EXISTS`. */
  readonly name: string;
  /** More than 0. A provider may round it up, and then says so in `Volume.capacityBytes`; a size it can't have at all fails with `OUT_OF_RANGE`. */
  readonly capacityBytes: Bytes;
  readonly owner?: OwnerStamp;
  /** Provider-specific settings. Unknown ones fail with `INVALID_ARGUMENT`, and are never ignored. */
  readonly parameters?: Readonly<Record<string, string>>;
  /** Hosts it must be attachable to, all of them. Fails with `RESOURCE_EXHAUSTED` when no pool reaches them. Defaults to any. */
  readonly accessibleHosts?: readonly string[];
}

/** How an attached volume is reached on its host. */
export type VolumeTransport =
  | {
      /** NBD over a Unix socket on the host, served by the host's storage process. The default: a client that reconnects rides out the server's restart. */
      readonly kind: "nbd-unix";
      readonly path: string;
      readonly exportName: string;
    }
  | {
      readonly kind: "nbd-tcp";
      readonly address: string;
      readonly port: number;
      readonly exportName: string;
      readonly tls: boolean;
    }
  | {
      /** A file that the VM monitor opens by itself. The facets that go through the data path (epochs, changed blocks, qos, fencing) are lost. */
      readonly kind: "file";
      readonly path: string;
      readonly format: "raw" | "qcow2";
    }
  | { readonly kind: "block"; readonly path: string }
  | { readonly kind: "iscsi"; readonly portal: string; readonly target: string; readonly lun: number }
  | { readonly kind: "rbd"; readonly pool: string; readonly image: string; readonly monitors: readonly string[] };

/** How a volume may be used by its owner. */
export type AccessMode = "readWrite" | "readOnly";

/** An attachment: a volume's one owner, and how that owner reaches it. */
export interface Attachment {
  readonly volumeId: string;
  readonly host: string;
  readonly access: AccessMode;
  readonly generation: Generation;
  readonly transport: VolumeTransport;
  readonly fencing: FencingStrength;
  /** Facets that this way of attaching gives up, with the reason. */
  readonly loses: Readonly<Record<string, string>>;
}

/** Input of `attachVolume`. */
export interface AttachVolume {
  readonly volumeId: string;
  readonly host: string;
  readonly access: AccessMode;
  /** Higher than that of any attachment before; equal to that of the present one repeats the call. */
  readonly generation: Generation;
  /** `served` by the host's storage process, or `direct`: opened by the VM monitor. Defaults to `served`. */
  readonly mode?: "served" | "direct";
}

const source = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("volume"), volumeId: identifier }),
  z.object({ kind: z.literal("snapshot"), snapshotId: identifier }),
]);

/** Schema of {@link VolumeSource}. */
export const volumeSource: z.ZodType<VolumeSource> = schemaOf<VolumeSource>()(source);

/** Schema of {@link Volume}. */
export const volume: z.ZodType<Volume> = schemaOf<Volume>()(
  z.object({
    volumeId: identifier,
    name: z.string(),
    capacityBytes: bytes,
    allocatedBytes: bytes,
    exclusiveBytes: bytes,
    createdAt: timestamp,
    owner: ownerStamp.exactOptional(),
    parent: source.exactOptional(),
    accessibleHosts: z.array(z.string()).exactOptional(),
    parameters: z.record(z.string(), z.string()),
  }),
);

/** Schema of {@link CreateVolume}. */
export const createVolume: z.ZodType<CreateVolume> = schemaOf<CreateVolume>()(
  z.object({
    name: objectName,
    capacityBytes: bytes,
    owner: ownerStamp.exactOptional(),
    parameters: z.record(z.string(), z.string()).exactOptional(),
    accessibleHosts: z.array(z.string()).exactOptional(),
  }),
);

/** Schema of {@link VolumeTransport}. */
export const volumeTransport: z.ZodType<VolumeTransport> = schemaOf<VolumeTransport>()(
  z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("nbd-unix"), path: z.string(), exportName: z.string() }),
    z.object({
      kind: z.literal("nbd-tcp"),
      address: z.string(),
      port: z.int(),
      exportName: z.string(),
      tls: z.boolean(),
    }),
    z.object({ kind: z.literal("file"), path: z.string(), format: z.enum(["raw", "qcow2"]) }),
    z.object({ kind: z.literal("block"), path: z.string() }),
    z.object({ kind: z.literal("iscsi"), portal: z.string(), target: z.string(), lun: z.int() }),
    z.object({ kind: z.literal("rbd"), pool: z.string(), image: z.string(), monitors: z.array(z.string()) }),
  ]),
);

/** Schema of {@link AccessMode}. */
export const accessMode: z.ZodType<AccessMode> = z.enum(["readWrite", "readOnly"]);

/** Schema of {@link Attachment}. */
export const attachment: z.ZodType<Attachment> = schemaOf<Attachment>()(
  z.object({
    volumeId: identifier,
    host: z.string(),
    access: accessMode,
    generation,
    transport: volumeTransport,
    fencing: fencingStrength,
    loses: z.record(z.string(), z.string()),
  }),
);

/** Schema of {@link AttachVolume}. */
export const attachVolume: z.ZodType<AttachVolume> = schemaOf<AttachVolume>()(
  z.object({
    volumeId: identifier,
    host: z.string(),
    access: accessMode,
    generation,
    mode: z.enum(["served", "direct"]).exactOptional(),
  }),
);
