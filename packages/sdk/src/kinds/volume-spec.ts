import { type Bytes, bytes, objectName, schemaOf } from "@vdc-os/core";
import type { QosPolicy } from "@vdc-os/core/storage/v1";
import { defineKind, type Kind } from "../resource/kind.ts";
import type { Resource } from "../resource/resource.ts";
import { qosPolicy } from "./storage-policy-spec.ts";
import { z } from "zod";

/** Where a volume's first content comes from. */
export type VolumeContent =
  | { readonly kind: "empty" }
  /** An image file that the storage provider can read. */
  | { readonly kind: "file"; readonly path: string; readonly format: string }
  /** Another volume of this datacenter, on the same storage provider. */
  | { readonly kind: "clone"; readonly volume: string; readonly want: "linked" | "full" | "any" }
  /** What a `VolumeSnapshot` of this datacenter holds, on the same storage provider. */
  | { readonly kind: "clone"; readonly snapshot: string; readonly want: "linked" | "full" | "any" };

/** What a volume must be. */
export interface VolumeSpec {
  /** The storage provider's name: either this or `policy`. A change moves the volume there, also while its VM writes to it. */
  readonly storage?: string;
  /** The `StoragePolicy` that chooses the provider, once, and that the volume is held against from then on. */
  readonly policy?: string;
  /** The virtual size. It can grow; content may be smaller, never larger. Defaults to the content's size; an empty volume needs it. */
  readonly capacityBytes?: Bytes;
  /** Defaults to `empty`. Can't be changed. */
  readonly content: VolumeContent;
  /**
   * Hosts that it must be attachable on, all of them: it is placed, and moves, only where they reach it. Defaults to any; a VM then goes to a host that reaches all
   * its volumes. Can't be changed. A clone is where its source is, and has none.
   */
  readonly accessibleHosts?: readonly string[];
  /** The provider's own settings. They change together with the provider alone. */
  readonly parameters: Readonly<Record<string, string>>;
  /** The snapshot of it to go back to, once for each `request`: see `VolumeClient.revert`. */
  readonly revert?: { readonly snapshot: string; readonly request: string };
}

/** A move of a volume to another storage provider that is under way. */
export interface VolumeMove {
  /** `copying`, `switching` and `undoing`: the source is the volume. `leaving`: the target is, and the source goes away. */
  readonly phase: "copying" | "switching" | "leaving" | "undoing";
  readonly from: { readonly storage: string; readonly volumeId: string };
  /** `name` is the provider's, and names the move too. */
  readonly to: {
    readonly storage: string;
    readonly name: string;
    readonly volumeId?: string;
    readonly accessibleHosts?: readonly string[];
  };
  /** Where it is copied, and the generation with which both sides are attached there. */
  readonly host: string;
  readonly generation: number;
  /** The disk that it is of a VM that runs. Absent when nobody has it attached: then it is copied as it lies. */
  readonly online?: { readonly vm: string; readonly vmId: string; readonly diskId: string };
  /** How far it was at a time, in milliseconds since 1970. */
  readonly progress?: { readonly copiedBytes: Bytes; readonly totalBytes: Bytes; readonly at: number };
}

/** What a volume is. */
export interface VolumeStatus {
  /** The storage provider that it is on, or is to be: recorded before anything is made there. */
  readonly storage?: string;
  /** Why it is there, and why not elsewhere, by provider. Only where a policy chose. */
  readonly placement?: { readonly reason: string; readonly rejected: Readonly<Record<string, string>> };
  /** What the provider said it can do when the volume was last held against its policy: `StoragePool.status.capabilities`. */
  readonly capabilities?: string;
  /** The limits that a policy put on it. */
  readonly qos?: QosPolicy;
  /** The last `revert.request` that was done; and the one that is being done, during which it is not attached. */
  readonly reverted?: string;
  readonly reverting?: string;
  /** The provider's id, once it exists. */
  readonly volumeId?: string;
  readonly capacityBytes?: Bytes;
  readonly allocatedBytes?: Bytes;
  /** The hosts that it can be attached on, as its provider says. Absent when all can. */
  readonly accessibleHosts?: readonly string[];
  /** How a clone was had: `linked`, `reflink` or `full`. */
  readonly cloneKind?: string;
  /** How long the provider took to create it, in milliseconds. */
  readonly createdInMs?: number;
  /** The highest attachment generation that was given out. */
  readonly generation?: number;
  /** The VM it is attached for, and the host. */
  readonly attachedTo?: { readonly vm: string; readonly host: string; readonly generation: number };
  /** How often a move was begun. */
  readonly moves?: number;
  readonly move?: VolumeMove;
}

/** Schema of {@link VolumeSpec}. */
export const volumeSpec: z.ZodType<VolumeSpec> = schemaOf<VolumeSpec>()(
  z.object({
    storage: z.string().exactOptional(),
    policy: objectName.exactOptional(),
    capacityBytes: bytes.exactOptional(),
    content: z
      .union([
        z.strictObject({ kind: z.literal("empty") }),
        z.strictObject({ kind: z.literal("file"), path: z.string(), format: z.string() }),
        z.strictObject({ kind: z.literal("clone"), volume: objectName, want: z.enum(["linked", "full", "any"]) }),
        z.strictObject({ kind: z.literal("clone"), snapshot: objectName, want: z.enum(["linked", "full", "any"]) }),
      ])
      .default({ kind: "empty" }),
    accessibleHosts: z.array(z.string().min(1)).min(1).exactOptional(),
    parameters: z.record(z.string(), z.string()).default({}),
    revert: z.object({ snapshot: objectName, request: z.string().min(1) }).exactOptional(),
  }),
);

/** Schema of {@link VolumeStatus}. */
export const volumeStatus: z.ZodType<VolumeStatus> = schemaOf<VolumeStatus>()(
  z.object({
    storage: z.string().exactOptional(),
    placement: z.object({ reason: z.string(), rejected: z.record(z.string(), z.string()) }).exactOptional(),
    capabilities: z.string().exactOptional(),
    qos: qosPolicy.exactOptional(),
    reverted: z.string().exactOptional(),
    reverting: z.string().exactOptional(),
    volumeId: z.string().exactOptional(),
    capacityBytes: bytes.exactOptional(),
    allocatedBytes: bytes.exactOptional(),
    accessibleHosts: z.array(z.string()).exactOptional(),
    cloneKind: z.string().exactOptional(),
    createdInMs: z.number().exactOptional(),
    generation: z.int().exactOptional(),
    attachedTo: z.object({ vm: z.string(), host: z.string(), generation: z.int() }).exactOptional(),
    moves: z.int().exactOptional(),
    move: z
      .object({
        phase: z.enum(["copying", "switching", "leaving", "undoing"]),
        from: z.object({ storage: z.string(), volumeId: z.string() }),
        to: z.object({
          storage: z.string(),
          name: z.string(),
          volumeId: z.string().exactOptional(),
          accessibleHosts: z.array(z.string()).exactOptional(),
        }),
        host: z.string(),
        generation: z.int(),
        online: z.object({ vm: z.string(), vmId: z.string(), diskId: z.string() }).exactOptional(),
        progress: z.object({ copiedBytes: bytes, totalBytes: bytes, at: z.number() }).exactOptional(),
      })
      .exactOptional(),
  }),
);

/** A volume as a caller asks for it. */
export type VolumeInput = Partial<VolumeSpec>;

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
  immutable: ["/content", "/accessibleHosts"],
  finalizers: [volumeFinalizer],
  usage: (spec) => ({ bytes: spec.capacityBytes ?? 0 }),
  validate({ spec }, old) {
    if ((spec.storage === undefined) === (spec.policy === undefined)) {
      return [
        { path: "", message: "a volume needs a storage provider's name or a policy: either `storage` or `policy`" },
      ];
    }
    if (spec.content.kind === "empty" && spec.capacityBytes === undefined) {
      return [{ path: "/capacityBytes", message: "an empty volume needs a size" }];
    }
    if (spec.content.kind === "clone" && spec.accessibleHosts !== undefined) {
      return [{ path: "/accessibleHosts", message: "a clone is where its source is: say the hosts of that" }];
    }
    const before = old?.spec.capacityBytes;
    if (before !== undefined && (spec.capacityBytes ?? before) < before) {
      return [{ path: "/capacityBytes", message: `a volume can grow only: it has ${before} bytes` }];
    }
    const settings = (parameters: VolumeSpec["parameters"]): string =>
      JSON.stringify(Object.entries(parameters).sort());
    if (
      old !== undefined &&
      old.spec.storage === spec.storage &&
      settings(old.spec.parameters) !== settings(spec.parameters)
    ) {
      return [
        { path: "/parameters", message: "they are the storage provider's own, and change together with it alone" },
      ];
    }
    return [];
  },
  // Who cancels a move wants the volume where it is. One that is being switched arrives.
  undo: ({ spec, status: { storage, move } }) => {
    if (move?.to.storage === spec.storage && (move?.phase === "switching" || move?.phase === "leaving"))
      return undefined;
    return storage === undefined || spec.storage === undefined ? spec : { ...spec, storage };
  },
});

/** The condition type that says whether a volume has what its policy asks for. Only volumes with a policy have it. */
export const compliantCondition = "Compliant";

/** The storage provider that a volume is on; `undefined` while its policy has not chosen one. */
export function storageNameOf({
  spec,
  status,
}: Pick<Resource<VolumeSpec, VolumeStatus>, "spec" | "status">): string | undefined {
  return status.storage ?? spec.storage;
}
