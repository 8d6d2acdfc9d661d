import type { SerializedError } from "@vdc-os/core";
import type { ObjectKey, OwnerReference, Resource } from "../resource/resource.ts";
import type { TaskHandle } from "../task/task-handle.ts";

/** What every call may say. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
}

/** An object to be. */
export interface NewObject<Input> {
  /** Defaults to `default`. */
  readonly tenant?: string;
  /** 1 to 63 lower-case letters, digits, `-` and `.`; unique within tenant and kind. */
  readonly name: string;
  readonly spec: Input;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Objects that must exist, in the same tenant; when none of them is left, this one is deleted. See `ownedBy`. */
  readonly ownerReferences?: readonly OwnerReference[];
  /** Beside those of the kind. */
  readonly finalizers?: readonly string[];
}

/** Options of `create`. */
export interface CreateOptions extends ReadOptions {
  /** On whose behalf fields are written. Defaults to `user`. */
  readonly fieldOwner?: string;
  /** The task that the new one is a part of. */
  readonly parentTask?: string;
}

/** Options of `update`. */
export interface UpdateOptions extends CreateOptions {
  /** Takes fields from other owners. Defaults to false. */
  readonly force?: boolean;
  /** Only if nothing of the object, status included, was written since. */
  readonly ifRevision?: number;
  /** Only if the spec was not changed since. */
  readonly ifGeneration?: number;
  /** Only if it is still this object, not one that was created anew under its name. */
  readonly ifUid?: string;
}

/** Options of `apply`. */
export interface ApplyOptions extends UpdateOptions {
  readonly fieldOwner: string;
  /** JSON pointers of fields that the owner gives up, with everything below; `"all"` for all that it holds. */
  readonly release?: readonly string[] | "all";
}

/** Options of `updateStatus`. */
export interface UpdateStatusOptions extends ReadOptions {
  /** The generation of the object that the controller looked at. */
  readonly observedGeneration: number;
  /** Only if nobody else wrote the status since. */
  readonly ifStatusVersion?: number;
  readonly ifUid?: string;
  /** What the tasks fail with that a `Failed` condition settles. Defaults to the condition's reason and message. */
  readonly error?: SerializedError;
}

/** Options of `delete`. */
export interface DeleteOptions extends ReadOptions {
  readonly ifRevision?: number;
  readonly ifUid?: string;
  readonly parentTask?: string;
}

/** Options of `list`. */
export interface ListOptions extends ReadOptions {
  /** Defaults to all tenants. */
  readonly tenant?: string;
  /** Objects that have all of these. */
  readonly labels?: Readonly<Record<string, string>>;
  /** At most this many are looked at for one page, up to 1000. */
  readonly limit?: number;
  readonly pageToken?: string;
}

/** Labels and annotations to set; `undefined` removes. */
export interface MetadataChange {
  readonly labels?: Readonly<Record<string, string | undefined>>;
  readonly annotations?: Readonly<Record<string, string | undefined>>;
}

/** A page of objects, as of one revision. */
export interface ResourcePage<Spec, Status> {
  readonly items: readonly Resource<Spec, Status>[];
  readonly revision: number;
  readonly nextPageToken?: string;
}

/** An item of a watch. */
export type ResourceEvent<Spec, Status> =
  | { readonly type: "changed"; readonly revision: number; readonly object: Resource<Spec, Status> }
  | { readonly type: "deleted"; readonly revision: number; readonly key: ObjectKey }
  | { readonly type: "resync" };

/** What was accepted: it is on disk. */
export interface Accepted<Spec, Status> {
  readonly object: Resource<Spec, Status>;
  /** Ends with the object as it is then, when it has reached its goal. */
  readonly task: TaskHandle<Resource<Spec, Status>>;
  /** Whether this call made the object. */
  readonly created: boolean;
}

/** Some fields of a spec: members may be left out at every depth, arrays are whole. */
export type PartialSpec<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: PartialSpec<T[K]> }
    : T;
