/**
 * Kinds: what sorts of objects there are. A kind is a value token that carries the types of its spec and status.
 *
 * To add one: write the interfaces, the zod schemas, call {@link defineKind}, hand the token to `createControlPlane({ kinds })`, and
 * write a controller for it (see `controller/define-controller.ts`). `Input` is the spec as a caller may write it (with what
 * `defaults` or the schema fill in left out); it defaults to `Spec`.
 *
 * @example
 * ```ts
 * interface VolumeSpec { readonly sizeBytes: number; readonly format: "qcow2" | "raw" }
 * interface VolumeStatus { readonly pool?: string }
 * type VolumeInput = Pick<VolumeSpec, "sizeBytes"> & Partial<VolumeSpec>;
 *
 * export const volume: Kind<VolumeSpec, VolumeStatus, VolumeInput> = defineKind<VolumeSpec, VolumeStatus, VolumeInput>()({
 *   kind: "Volume",
 *   apiVersion: "v1",
 *   spec: z.object({ sizeBytes: bytes, format: z.enum(["qcow2", "raw"]).default("qcow2") }),
 *   status: z.object({ pool: z.string().exactOptional() }),
 *   initialStatus: {},
 *   immutable: ["/format"],
 *   finalizers: ["vdc.volume"],
 *   usage: (spec) => ({ bytes: spec.sizeBytes }),
 * });
 * ```
 */
import type { JsonObject } from "@vdc-os/core";
import type { z } from "zod";
import type { Resource } from "./resource.ts";

/** One thing that is wrong with an object. */
export interface Problem {
  /** Where, as a JSON pointer into the spec. Empty for the object as a whole. */
  readonly path: string;
  readonly message: string;
}

/** What an older `apiVersion` stored, and what a conversion makes of it. */
export interface ConvertibleContent {
  readonly spec: JsonObject;
  readonly status: JsonObject;
}

/** Turns the content of an older `apiVersion` into the kind's current one. */
export type Conversion = (content: ConvertibleContent) => ConvertibleContent;

/** Options of {@link defineKind}. */
export interface KindOptions<Spec, Status> {
  /** CamelCase, at most 63 characters: `Volume`. */
  readonly kind: string;
  /** The version of the spec's and status's shape: `v1`. Older ones that are still stored need a conversion. */
  readonly apiVersion: string;
  readonly spec: z.ZodType<Spec>;
  readonly status: z.ZodType<Status>;
  /** The status of a new object. */
  readonly initialStatus: Status;
  /** Fills in what the caller left out, after the schema's own defaults. Pure: equal specs must become equal. */
  defaults?(spec: Spec): Spec;
  /** What is wrong with an object beyond its schema. `old` is what it was, for an update. Pure. */
  validate?(object: Resource<Spec, Status>, old: Resource<Spec, Status> | undefined): readonly Problem[];
  /**
   * The spec that an object goes back to when an update of it that is not done is cancelled; `undefined` when it is too late for that, and the cancel is
   * refused. Pure. Defaults to the present one: what was asked for is then still asked for, and only nobody waits for it.
   */
  undo?(object: Resource<Spec, Status>): Spec | undefined;
  /** Conversions to the current `apiVersion`, by the version that they convert from. */
  readonly convert?: Readonly<Record<string, Conversion>>;
  /** JSON pointers of fields that cannot change after creation, with everything below them. */
  readonly immutable?: readonly string[];
  /** Finalizers that each new object gets. Its controller removes them once nothing is left of the object. */
  readonly finalizers?: readonly string[];
  /** What an object uses of its tenant's quota, by dimension (`bytes`, `vcpus`). The dimension `count` is 1 and needs no mention. */
  usage?(spec: Spec): Readonly<Record<string, number>>;
}

/** A kind of objects. Made by {@link defineKind}. */
export interface Kind<Spec, Status, Input = Spec> extends KindOptions<Spec, Status> {
  /** Never present at run time. */
  readonly "~input"?: Input;
}

/** A kind whose types are not known to the type system. */
export type AnyKind = Kind<unknown, unknown, unknown>;

/** The object type of a kind. */
export type ResourceOf<K> = K extends Kind<infer Spec, infer Status, infer _Input> ? Resource<Spec, Status> : never;

/** Defines a kind. Anyone may. Throws a `TypeError` for a malformed name. */
export function defineKind<Spec, Status, Input = Spec>(): (
  options: KindOptions<Spec, Status>,
) => Kind<Spec, Status, Input> {
  return (options) => {
    if (!/^[A-Z][A-Za-z0-9]{0,62}$/.test(options.kind)) {
      throw new TypeError(`kind '${options.kind}' must be CamelCase, such as 'Volume'`);
    }
    if (!/^v\d+((alpha|beta)\d+)?$/.test(options.apiVersion)) {
      throw new TypeError(`kind '${options.kind}' has apiVersion '${options.apiVersion}': it must be such as 'v1'`);
    }
    return Object.freeze({ ...options });
  };
}
