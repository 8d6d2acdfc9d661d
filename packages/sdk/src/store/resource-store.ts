/**
 * The inventory's objects over a state store.
 *
 * - `create(kind, { tenant?, name, spec, ... })`: idempotent by name. An object whose spec is equal after defaults is returned with
 *   a task that ends when it is ready; another spec is `ALREADY_EXISTS`. After a deletion the name is free and the uid new.
 * - `get` / `find` / `list` / `watch`: reads, always from the state store.
 * - `update(kind, key, spec | (object) => spec)`: the whole spec. `apply(kind, key, partial)`: some fields. Both keep to field owners.
 * - `updateStatus(kind, key, (object) => change, { observedGeneration })`: for controllers; never touches the spec, and settles the tasks
 *   whose goal is reached.
 * - `delete(kind, key)`: asks for deletion. The object goes once its finalizers are gone, see `removeFinalizer`.
 *
 * Each of them is one transaction: spec, task, quota usage, and what owns the object change together or not at all. What returns a
 * {@link Accepted} is on disk then: its `task` can be waited for, also after a restart.
 */
import { isVdcError, type JsonObject, type Json, type SerializedError, VdcError } from "@vdc-os/core";
import { decodeResource } from "../resource/decode-resource.ts";
import { keepFieldsOfOthers } from "../resource/field-owner.ts";
import { isEqualJson, mergeJson, toJson } from "../resource/field-path.ts";
import type { AnyKind, Kind } from "../resource/kind.ts";
import { hasLabels, isBeingDeleted, type ObjectKey, type Resource } from "../resource/resource.ts";
import { kindPrefixOf, objectsPrefix, parseStateKey } from "../resource/resource-key.ts";
import { settleByConditions } from "../task/settle-tasks.ts";
import type { TaskHandle } from "../task/task-handle.ts";
import { type DesiredSpec, planSpecChange } from "./change-spec.ts";
import { planCreate } from "./create-object.ts";
import { cancelTask, planDelete } from "./delete-object.ts";
import { KeyedMutex } from "./keyed-mutex.ts";
import {
  atRevision,
  defaultFieldOwner,
  loadObject,
  requireObject,
  type StoreEnvironment,
  writeObject,
} from "./object-access.ts";
import { ObjectTransaction } from "./object-transaction.ts";
import { mergeStrings, type StatusChange, withoutTasks, withStatus } from "./resource-change.ts";
import { assertKey, beingDeleted, changedMeanwhile } from "./resource-errors.ts";
import type {
  Accepted,
  ApplyOptions,
  CreateOptions,
  DeleteOptions,
  ListOptions,
  MetadataChange,
  NewObject,
  PartialSpec,
  ReadOptions,
  ResourceEvent,
  ResourcePage,
  UpdateOptions,
  UpdateStatusOptions,
} from "./resource-store-options.ts";
import { commit, type Plan } from "./state-access.ts";

const defaultTenant = "default";

/** See the top of this file. */
export class ResourceStore {
  readonly #options: StoreEnvironment;
  /** Serialises what would meet on one quota record; a conflict there is decided by the state store all the same. */
  readonly #mutex = new KeyedMutex();

  constructor(options: StoreEnvironment) {
    this.#options = options;
    options.tasks.cancelTarget = (task, cancelOptions) => cancelTask(options, task, cancelOptions);
  }

  /** See the top of this file. Fails with `ALREADY_EXISTS`, `ABORTED` while an older one is being deleted, or a refusal of admission. */
  create<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    input: NewObject<Input>,
    options: CreateOptions = {},
  ): Promise<Accepted<Spec, Status>> {
    const key: ObjectKey = { tenant: input.tenant ?? defaultTenant, name: input.name };
    assertKey(kind.kind, key);
    const plan = () => planCreate(this.#options, kind, { key, input, options });
    return this.#commit("creating", { kind, key, signal: options.signal }, plan);
  }

  /** The object. Fails with `NOT_FOUND`. */
  async get<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    options: ReadOptions = {},
  ): Promise<Resource<Spec, Status>> {
    return (await requireObject(this.#options, kind, key, options)).object;
  }

  /** The object, or `undefined`. */
  async find<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    options: ReadOptions = {},
  ): Promise<Resource<Spec, Status> | undefined> {
    return (await loadObject(this.#options, kind, key, options))?.object;
  }

  /** A page of objects in order of tenant and name. With labels, or without a tenant, a page may hold fewer than asked for. */
  async list<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    options: ListOptions = {},
  ): Promise<ResourcePage<Spec, Status>> {
    const { tenant, labels = {}, limit, pageToken, signal } = options;
    const prefix = tenant === undefined ? objectsPrefix : kindPrefixOf(kind.kind, tenant);
    const page = await this.#options.state.list(
      { prefix, ...(limit === undefined ? {} : { limit }), ...(pageToken === undefined ? {} : { pageToken }) },
      { signal },
    );
    const items = page.entries
      .filter((entry) => parseStateKey(entry.key)?.kind === kind.kind)
      .map((entry) => decodeResource(kind, entry))
      .filter((object) => hasLabels(object, labels));
    const { revision, nextPageToken } = page;
    return { items, revision, ...(nextPageToken === undefined ? {} : { nextPageToken }) };
  }

  /** Every object of a kind, page by page. Fails with `ABORTED` when the list became too old half-way. */
  async *listAll<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    options: Omit<ListOptions, "pageToken"> = {},
  ): AsyncIterable<Resource<Spec, Status>> {
    let pageToken: string | undefined;
    do {
      const page: ResourcePage<Spec, Status> = await this.list(kind, {
        ...options,
        ...(pageToken === undefined ? {} : { pageToken }),
      });
      yield* page.items;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }

  /** Every change of a kind's objects after a revision, in order. `resync` ends it: list again, and watch from that list's revision. */
  async *watch<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    options: ReadOptions & { readonly afterRevision: number; readonly tenant?: string },
  ): AsyncIterable<ResourceEvent<Spec, Status>> {
    const { tenant, afterRevision, signal } = options;
    const prefix = tenant === undefined ? objectsPrefix : kindPrefixOf(kind.kind, tenant);
    for await (const event of this.#options.state.watch({ prefix, afterRevision }, { signal })) {
      if (event.type === "resync") {
        yield { type: "resync" };
        return;
      }
      if (event.type === "progress") continue;
      const key = parseStateKey(event.type === "put" ? event.entry.key : event.key);
      if (key?.kind !== kind.kind) continue;
      const { revision } = event;
      if (event.type === "put") yield { type: "changed", revision, object: decodeResource(kind, event.entry) };
      else yield { type: "deleted", revision, key: { tenant: key.tenant, name: key.name } };
    }
  }

  /**
   * Changes the spec to another, whole. Fields of other owners that it leaves out stay as they are; those that it would change are a
   * `FAILED_PRECONDITION`, reason `VDC_FIELD_CONFLICT`, unless `force`. Given a function, it is called with the current object, anew
   * after each conflict. Fails with `ABORTED` when `ifRevision` or `ifGeneration` does not hold.
   */
  update<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    spec: Input | ((object: Resource<Spec, Status>) => Input),
    options: UpdateOptions = {},
  ): Promise<Accepted<Spec, Status>> {
    const { fieldOwner = defaultFieldOwner, force = false } = options;
    const specOf = (object: Resource<Spec, Status>): DesiredSpec => {
      const isFunction = typeof spec === "function";
      const wanted = toJson(isFunction ? (spec as (o: typeof object) => Input)(object) : spec) as JsonObject;
      const current = object.spec as unknown as JsonObject;
      return { desired: force ? wanted : keepFieldsOfOthers(wanted, current, object.metadata.fieldOwners, fieldOwner) };
    };
    const plan = () => planSpecChange(this.#options, kind, { key, options, specOf });
    return this.#commit("changing", { kind, key, signal: options.signal }, plan);
  }

  /**
   * Sets some fields of the spec on behalf of an owner, who holds them from then on. The rest stays as it is. Objects are merged,
   * arrays replaced. `release` gives up fields held before. Conflicts as with {@link ResourceStore.update}.
   */
  apply<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    partial: PartialSpec<Input>,
    options: ApplyOptions,
  ): Promise<Accepted<Spec, Status>> {
    const patch = toJson(partial) as JsonObject;
    const specOf = (object: Resource<Spec, Status>): DesiredSpec => ({
      desired: mergeJson(object.spec as unknown as JsonObject, patch),
      written: patch,
    });
    const plan = () => planSpecChange(this.#options, kind, { key, options, specOf });
    return this.#commit("changing", { kind, key, signal: options.signal }, plan);
  }

  /** Changes labels and annotations; `undefined` removes one. No task, no generation: controllers are told all the same. */
  updateMetadata<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    change: MetadataChange,
    options: ReadOptions = {},
  ): Promise<Resource<Spec, Status>> {
    return this.#change(kind, key, { ...options, what: "changing metadata of" }, (object) => {
      const labels = mergeStrings(object.metadata.labels, change.labels ?? {});
      const annotations = mergeStrings(object.metadata.annotations, change.annotations ?? {});
      return { ...object, metadata: { ...object.metadata, labels, annotations } };
    });
  }

  /**
   * Changes status and conditions, and settles the tasks whose goal is reached: see `settleByConditions`. It never touches the spec, and
   * a concurrent change of the spec does not disturb it. `observedGeneration` is the generation that the change was found out about.
   * Nothing is written when nothing changes. Fails with `NOT_FOUND` when the object is gone, or is another one than `ifUid`; with
   * `INTERNAL` when the status does not match the kind's schema.
   */
  updateStatus<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    change: StatusChange<Status> | ((object: Resource<Spec, Status>) => StatusChange<Status>),
    options: UpdateStatusOptions,
  ): Promise<Resource<Spec, Status>> {
    const { observedGeneration, ifStatusVersion, error } = options;
    return this.#change(
      kind,
      key,
      { ...options, what: "changing the status of", ...(error === undefined ? {} : { error }) },
      (object) => {
        if (ifStatusVersion !== undefined && ifStatusVersion !== object.metadata.statusVersion) {
          throw changedMeanwhile(kind.kind, key, "status");
        }
        const wanted = typeof change === "function" ? change(object) : change;
        const next = withStatus(object, wanted, { observedGeneration, now: this.#options.clock.now() });
        const parsed = kind.status.safeParse(next.status);
        if (parsed.success) return next;
        throw new VdcError("INTERNAL", `a status of ${kind.kind} '${key.name}' does not match its schema`, {
          reason: "VDC_STATUS_INVALID",
          cause: parsed.error,
        });
      },
    );
  }

  /** Adds a finalizer, unless the object is being deleted already: `FAILED_PRECONDITION`. */
  addFinalizer<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    finalizer: string,
    options: ReadOptions & { readonly ifUid?: string } = {},
  ): Promise<Resource<Spec, Status>> {
    return this.#change(kind, key, { ...options, what: "holding" }, (object) => {
      const { finalizers } = object.metadata;
      if (finalizers.includes(finalizer)) return object;
      if (isBeingDeleted(object)) throw beingDeleted(kind.kind, key);
      return { ...object, metadata: { ...object.metadata, finalizers: [...finalizers, finalizer] } };
    });
  }

  /** Removes a finalizer; with the last one, an object whose deletion was asked for is gone. Does nothing when the object is gone. */
  async removeFinalizer<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    finalizer: string,
    options: ReadOptions & { readonly ifUid?: string } = {},
  ): Promise<void> {
    try {
      await this.#change(kind, key, { ...options, what: "letting go of" }, (object) => {
        const finalizers = object.metadata.finalizers.filter((other) => other !== finalizer);
        if (finalizers.length === object.metadata.finalizers.length) return object;
        return { ...object, metadata: { ...object.metadata, finalizers } };
      });
    } catch (error) {
      if (!isVdcError(error, "NOT_FOUND")) throw error;
    }
  }

  /**
   * Asks for an object's deletion. Objects that it owns follow in the background. The task ends when the object is gone. Asking
   * again returns the task that is under way. Fails with `NOT_FOUND`, and with `ABORTED` when `ifRevision` does not hold.
   */
  delete<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    options: DeleteOptions = {},
  ): Promise<{ readonly task: TaskHandle<void> }> {
    const plan = () => planDelete(this.#options, kind, { key, options });
    return this.#commit("deleting", { kind, key, signal: options.signal }, plan);
  }

  /** One change of an object that is neither of its spec nor a request for deletion; settles tasks and removes it when it is due. */
  #change<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    options: ReadOptions & { readonly what: string; readonly ifUid?: string; readonly error?: SerializedError },
    change: (object: Resource<Spec, Status>) => Resource<Spec, Status>,
  ): Promise<Resource<Spec, Status>> {
    const { state, clock } = this.#options;
    const { signal, ifUid, error } = options;
    const attempt = async (): Promise<Plan<Resource<Spec, Status>>> => {
      const { object: old, entry } = await requireObject(this.#options, kind, key, { signal, ifUid });
      const changed = change(old);
      const settled = settleByConditions(changed, error);
      if (settled.length === 0 && isEqualJson(changed as unknown as Json, old as unknown as Json)) return { done: old };
      const transaction = new ObjectTransaction(this.#options);
      const object = withoutTasks(changed, await transaction.settle(settled, clock.now(), signal));
      await writeObject(this.#options, transaction, { kind, object, entry, signal });
      return transaction.plan((revision) => atRevision(object, revision));
    };
    return commit(state, attempt, { signal, what: `${options.what} ${kind.kind} '${key.name}'` });
  }

  #commit<T>(
    what: string,
    target: { readonly kind: AnyKind; readonly key: ObjectKey; readonly signal: AbortSignal | undefined },
    plan: () => Promise<Plan<T>>,
  ): Promise<T> {
    const { kind, key, signal } = target;
    const options = { signal, what: `${what} ${kind.kind} '${key.name}'` };
    return this.#mutex.run(`${key.tenant}/${kind.kind}`, () => commit(this.#options.state, plan, options));
  }
}
