/**
 * Objects of a datacenter: what was asked (`spec`), what is (`status`), and whose it is (`metadata`).
 *
 * An object is plain JSON. It is kept in the state store under `objects/<tenant>/<kind>/<name>`; `metadata.revision` is not stored
 * but is the entry's revision there. Three writers meet on an object and never overwrite each other: whoever asks changes `spec`
 * (`create`, `update`, `apply`), the kind's controller changes `status` and `conditions` (`updateStatus`), and finalizers hold the
 * object until what it stands for is gone.
 */
import type { Condition } from "./condition.ts";

/** Names an object within its kind. */
export interface ObjectKey {
  readonly tenant: string;
  readonly name: string;
}

/** An object that owns another: when no owner is left, the other one is deleted. Owner and owned are in the same tenant. */
export interface OwnerReference {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  /** Whether this owner is the one that manages the object. At most one is. */
  readonly controller: boolean;
  /** Whether the owner stays until this object is gone. */
  readonly blockOwnerDeletion: boolean;
}

/** What a task waits for. */
export type TaskAction = "create" | "update" | "delete";

/** A task that is settled in the transaction in which the object reaches its goal. */
export interface PendingTask {
  readonly id: string;
  readonly action: TaskAction;
  /** The generation that must be reached. */
  readonly generation: number;
}

/** Everything about an object but what was asked and what is. Times are milliseconds since 1970. */
export interface Metadata {
  /** Unique for all time: an object that is created anew under an old name has a new one. */
  readonly uid: string;
  readonly name: string;
  readonly tenant: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** The state store's revision at which any part of the object was last written. */
  readonly revision: number;
  /** Counts changes of the spec, from 1; asking for deletion counts as one. */
  readonly generation: number;
  /** The latest generation that the controller has looked at. 0 when none. */
  readonly observedGeneration: number;
  /** Counts changes of the status and conditions, from 0. */
  readonly statusVersion: number;
  readonly ownerReferences: readonly OwnerReference[];
  /** Who must finish before the object is removed. */
  readonly finalizers: readonly string[];
  /** Who holds each field of the spec, by JSON pointer (RFC 6901). Fields that nobody set are not listed: anybody may take them. */
  readonly fieldOwners: Readonly<Record<string, string>>;
  /** Tasks that wait for this object. */
  readonly pendingTasks: readonly PendingTask[];
  readonly createdAt: number;
  /** When its deletion was asked for. It is removed once `finalizers` is empty. */
  readonly deletionRequestedAt?: number;
}

/** An object of a datacenter. */
export interface Resource<Spec = unknown, Status = unknown> {
  readonly kind: string;
  readonly apiVersion: string;
  readonly metadata: Metadata;
  /** What was asked. */
  readonly spec: Spec;
  /** What is, as far as the controller knows. */
  readonly status: Status;
  readonly conditions: readonly Condition[];
}

/** Names an object across kinds, for good. */
export interface ResourceReference extends ObjectKey {
  readonly kind: string;
  readonly uid: string;
}

/** The reference to an object. */
export function referenceTo(object: Resource): ResourceReference {
  const { tenant, name, uid } = object.metadata;
  return { kind: object.kind, tenant, name, uid };
}

/** An owner reference to an object. `controller` defaults to true, `blockOwnerDeletion` to false. */
export function ownedBy(
  owner: Resource,
  options: { readonly controller?: boolean; readonly blockOwnerDeletion?: boolean } = {},
): OwnerReference {
  const { name, uid } = owner.metadata;
  const { controller = true, blockOwnerDeletion = false } = options;
  return { kind: owner.kind, name, uid, controller, blockOwnerDeletion };
}

/** Whether an object's deletion was asked for. */
export function isBeingDeleted(object: Resource): boolean {
  return object.metadata.deletionRequestedAt !== undefined;
}

/** Whether an object has all of these labels. */
export function hasLabels(object: Resource, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(labels).every(([label, value]) => object.metadata.labels[label] === value);
}
