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
import { isVdcError, type Json, type JsonObject, type SerializedError, VdcError } from "@vdc-os/core";
import type { KeyValue } from "@vdc-os/core/state/v1";
import { admit, rejection } from "../admission/admission.ts";
import { decodeResource } from "../resource/decode-resource.ts";
import { changeFields, keepFieldsOfOthers, releaseFields } from "../resource/field-owner.ts";
import { arePathsRelated, fieldsOf, isEqualJson, mergeJson, toJson } from "../resource/field-path.ts";
import type { AnyKind, Kind } from "../resource/kind.ts";
import { isConditionTrue, readyCondition } from "../resource/condition.ts";
import { hasLabels, isBeingDeleted, type ObjectKey, type Resource, referenceTo } from "../resource/resource.ts";
import { kindPrefixOf, objectsPrefix, parseStateKey, stateKeyOf } from "../resource/resource-key.ts";
import { settleByConditions, settleByDeletionRequest, settleByRemoval } from "../task/settle-tasks.ts";
import type { TaskHandle } from "../task/task-handle.ts";
import type { TaskRecord } from "../task/task-record.ts";
import { KeyedMutex } from "./keyed-mutex.ts";
import { ObjectTransaction, type ObjectTransactionOptions } from "./object-transaction.ts";
import {
  mergeStrings,
  newResource,
  type StatusChange,
  withDeletionRequested,
  withoutTasks,
  withPendingTask,
  withStatus,
  writtenFields,
} from "./resource-change.ts";
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
import {
  alreadyExists,
  assertKey,
  beingDeleted,
  changedMeanwhile,
  fieldConflict,
  notFound,
} from "./resource-errors.ts";
import { commit, type Plan } from "./state-access.ts";
import type { TaskManager } from "../task/task-manager.ts";

/** Options of {@link ResourceStore}. */
export interface ResourceStoreOptions extends ObjectTransactionOptions {
  readonly kinds: ReadonlyMap<string, AnyKind>;
  readonly tasks: TaskManager;
}

const defaultTenant = "default";
const defaultFieldOwner = "user";

interface Found<Spec, Status> {
  readonly object: Resource<Spec, Status>;
  readonly entry: KeyValue;
}

/** See the top of this file. */
export class ResourceStore {
  readonly #options: ResourceStoreOptions;
  /** Serialises what would meet on one quota record; a conflict there is decided by the state store all the same. */
  readonly #mutex = new KeyedMutex();

  constructor(options: ResourceStoreOptions) {
    this.#options = options;
    options.tasks.cancelTarget = (task, cancelOptions) => this.#cancelTask(task, cancelOptions);
  }

  /** See the top of this file. Fails with `ALREADY_EXISTS`, `ABORTED` while an older one is being deleted, or a refusal of admission. */
  create<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    input: NewObject<Input>,
    options: CreateOptions = {},
  ): Promise<Accepted<Spec, Status>> {
    const { clock, random, state, policies } = this.#options;
    const { fieldOwner = defaultFieldOwner, parentTask, signal } = options;
    const key: ObjectKey = { tenant: input.tenant ?? defaultTenant, name: input.name };
    assertKey(kind.kind, key);
    const what = `creating ${kind.kind} '${key.name}'`;
    const attempt = async (): Promise<Plan<Accepted<Spec, Status>>> => {
      const found = await this.#load(kind, key, signal);
      const proposed = newResource({
        ...input,
        kind: kind.kind,
        apiVersion: kind.apiVersion,
        tenant: key.tenant,
        uid: random.uuid(),
        status: kind.initialStatus,
        finalizers: [...new Set([...(kind.finalizers ?? []), ...(input.finalizers ?? [])])],
        now: clock.now(),
      });
      const { object: admitted, problems } = admit(kind, proposed, { policies });
      const transaction = new ObjectTransaction(this.#options);
      if (found === undefined) {
        const usage = await transaction.changeUsage(kind, key.tenant, { added: admitted.spec, signal });
        const all = [...problems, ...usage];
        if (all.length > 0) throw rejection(kind.kind, key.name, all);
        await transaction.bindOwners(admitted, signal);
        const fieldOwners = Object.fromEntries(
          writtenFields(input.spec, admitted.spec).map((path) => [path, fieldOwner]),
        );
        const owned = { ...admitted, metadata: { ...admitted.metadata, fieldOwners } };
        const task = this.#options.tasks.newRecord({
          action: "create",
          tenant: key.tenant,
          target: referenceTo(owned),
          ...(parentTask === undefined ? {} : { parent: parentTask }),
        });
        const object = withPendingTask(owned, { id: task.id, action: "create", generation: 1 });
        transaction.putTask(task);
        transaction.putObject(object, 0);
        return transaction.plan((revision) => this.#accepted(kind, at(object, revision), task, true));
      }
      if (problems.length > 0) throw rejection(kind.kind, key.name, problems);
      const { object, entry } = found;
      if (isBeingDeleted(object)) throw beingDeleted(kind.kind, key);
      if (!isSameRequest(admitted, object, fieldOwner)) throw alreadyExists(kind.kind, key);
      return this.#joinCreate(transaction, kind, { object, entry }, parentTask, signal);
    };
    return this.#mutex.run(`${key.tenant}/${kind.kind}`, () => commit(state, attempt, { signal, what }));
  }

  /** The object. Fails with `NOT_FOUND`. */
  async get<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    options: ReadOptions = {},
  ): Promise<Resource<Spec, Status>> {
    const object = await this.find(kind, key, options);
    if (object === undefined) throw notFound(kind.kind, key);
    return object;
  }

  /** The object, or `undefined`. */
  async find<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    options: ReadOptions = {},
  ): Promise<Resource<Spec, Status> | undefined> {
    return (await this.#load(kind, key, options.signal))?.object;
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
    return this.#changeSpec(kind, key, options, (object) => {
      const wanted = toJson(
        typeof spec === "function" ? (spec as (o: typeof object) => Input)(object) : spec,
      ) as JsonObject;
      const current = object.spec as unknown as JsonObject;
      const desired = force ? wanted : keepFieldsOfOthers(wanted, current, object.metadata.fieldOwners, fieldOwner);
      return { desired, written: undefined };
    });
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
    return this.#changeSpec(kind, key, options, (object) => ({
      desired: mergeJson(object.spec as unknown as JsonObject, patch),
      written: patch,
    }));
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
    const { state, clock, tasks } = this.#options;
    const { signal, ifRevision, ifUid, parentTask } = options;
    const attempt = async (): Promise<Plan<{ readonly task: TaskHandle<void> }>> => {
      const { object, entry } = await this.#required(kind, key, signal, ifUid);
      if (ifRevision !== undefined && ifRevision !== entry.modRevision)
        throw changedMeanwhile(kind.kind, key, "object");
      const transaction = new ObjectTransaction(this.#options);
      const pending = object.metadata.pendingTasks.find(({ action }) => action === "delete");
      if (pending !== undefined) {
        const known = await tasks.get(pending.id, { signal });
        return { done: { task: tasks.handleOf(known, async () => undefined) } };
      }
      const task = tasks.newRecord({
        action: "delete",
        tenant: key.tenant,
        target: referenceTo(object),
        ...(parentTask === undefined ? {} : { parent: parentTask }),
      });
      transaction.putTask(task);
      const settled = await transaction.settle(settleByDeletionRequest(object), clock.now(), signal);
      const marked = isBeingDeleted(object)
        ? object
        : withDeletionRequested(withoutTasks(object, settled), clock.now());
      const { generation } = marked.metadata;
      await this.#write(
        transaction,
        kind,
        withPendingTask(marked, { id: task.id, action: "delete", generation }),
        entry,
        {
          signal,
          task,
        },
      );
      return transaction.plan(() => ({ task: tasks.handleOf(task, async () => undefined) }));
    };
    const what = `deleting ${kind.kind} '${key.name}'`;
    return this.#mutex.run(`${key.tenant}/${kind.kind}`, () => commit(state, attempt, { signal, what }));
  }

  async #changeSpec<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    options: ApplyOptions | UpdateOptions,
    specOf: (object: Resource<Spec, Status>) => {
      readonly desired: JsonObject;
      readonly written: JsonObject | undefined;
    },
  ): Promise<Accepted<Spec, Status>> {
    const { state, policies, tasks, clock } = this.#options;
    const {
      fieldOwner = defaultFieldOwner,
      force = false,
      ifRevision,
      ifGeneration,
      ifUid,
      parentTask,
      signal,
    } = options;
    const attempt = async (): Promise<Plan<Accepted<Spec, Status>>> => {
      const { object: old, entry } = await this.#required(kind, key, signal, ifUid);
      if (ifRevision !== undefined && ifRevision !== entry.modRevision)
        throw changedMeanwhile(kind.kind, key, "object");
      if (ifGeneration !== undefined && ifGeneration !== old.metadata.generation) {
        throw changedMeanwhile(kind.kind, key, "spec");
      }
      if (isBeingDeleted(old)) throw beingDeleted(kind.kind, key);
      const { desired, written } = specOf(old);
      const { object: admitted, problems } = admit(kind, { ...old, spec: desired }, { old, policies });
      const transaction = new ObjectTransaction(this.#options);
      const isValid = problems.length === 0;
      const usage = isValid
        ? await transaction.changeUsage(kind, key.tenant, { added: admitted.spec, removed: old.spec, signal })
        : [];
      if (!isValid || usage.length > 0) throw rejection(kind.kind, key.name, [...problems, ...usage]);
      const { owners, conflicts } = changeFields({
        current: old.spec as Json,
        owners: old.metadata.fieldOwners,
        desired: admitted.spec as Json,
        owner: fieldOwner,
        claims: written === undefined ? [] : writtenFields(written, admitted.spec),
      });
      if (conflicts.length > 0 && !force) throw fieldConflict(kind.kind, key, conflicts);
      const release = "release" in options ? (options.release ?? []) : [];
      const fieldOwners = releaseFields(owners, fieldOwner, release);
      const isSpecEqual = isEqualJson(old.spec as Json, admitted.spec as Json);
      const generation = old.metadata.generation + (isSpecEqual ? 0 : 1);
      const isUnchanged =
        isSpecEqual &&
        isEqualJson(old.metadata as unknown as Json, { ...admitted.metadata, fieldOwners } as unknown as Json);
      const task = tasks.newRecord({
        action: "update",
        tenant: key.tenant,
        target: referenceTo(old),
        ...(parentTask === undefined ? {} : { parent: parentTask }),
      });
      const isReached = isSpecEqual && isConditionTrue(old.conditions, readyCondition, generation);
      const changed = { ...admitted, metadata: { ...admitted.metadata, fieldOwners, generation } };
      if (isReached) {
        const finished: TaskRecord = { ...task, state: "succeeded", finishedAt: clock.now() };
        transaction.putTask(finished);
        if (isUnchanged) transaction.compare(entry);
        else transaction.putObject(changed, entry.modRevision);
        return transaction.plan((revision) =>
          this.#accepted(kind, isUnchanged ? old : at(changed, revision), finished, false),
        );
      }
      const object = withPendingTask(changed, { id: task.id, action: "update", generation });
      transaction.putTask(task);
      transaction.putObject(object, entry.modRevision);
      return transaction.plan((revision) => this.#accepted(kind, at(object, revision), task, false));
    };
    const what = `changing ${kind.kind} '${key.name}'`;
    return this.#mutex.run(`${key.tenant}/${kind.kind}`, () => commit(state, attempt, { signal, what }));
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
      const { object: old, entry } = await this.#required(kind, key, signal, ifUid);
      const changed = change(old);
      const settled = settleByConditions(changed, error);
      if (settled.length === 0 && isEqualJson(changed as unknown as Json, old as unknown as Json)) return { done: old };
      const transaction = new ObjectTransaction(this.#options);
      const object = withoutTasks(changed, await transaction.settle(settled, clock.now(), signal));
      await this.#write(transaction, kind, object, entry, { signal });
      return transaction.plan((revision) => at(object, revision));
    };
    return commit(state, attempt, { signal, what: `${options.what} ${kind.kind} '${key.name}'` });
  }

  /** Puts an object, or removes it when nothing holds it any more. */
  async #write<Spec, Status, Input>(
    transaction: ObjectTransaction,
    kind: Kind<Spec, Status, Input>,
    object: Resource<Spec, Status>,
    entry: KeyValue,
    options: ReadOptions & { readonly task?: TaskRecord },
  ): Promise<void> {
    if (!isBeingDeleted(object) || object.metadata.finalizers.length > 0) {
      transaction.putObject(object, entry.modRevision);
      return;
    }
    const { signal, task } = options;
    await transaction.settle(settleByRemoval(object), this.#options.clock.now(), signal, task);
    await transaction.changeUsage(kind, object.metadata.tenant, { removed: object.spec, signal });
    transaction.deleteObject(entry);
  }

  async #joinCreate<Spec, Status, Input>(
    transaction: ObjectTransaction,
    kind: Kind<Spec, Status, Input>,
    { object, entry }: Found<Spec, Status>,
    parentTask: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Plan<Accepted<Spec, Status>>> {
    const { tasks, clock } = this.#options;
    const { generation, pendingTasks, tenant } = object.metadata;
    const pending = pendingTasks.find(({ action }) => action === "create");
    if (pending !== undefined) {
      return { done: this.#accepted(kind, object, await tasks.get(pending.id, { signal }), false) };
    }
    const task = tasks.newRecord({
      action: "create",
      tenant,
      target: referenceTo(object),
      ...(parentTask === undefined ? {} : { parent: parentTask }),
    });
    if (isConditionTrue(object.conditions, readyCondition, generation)) {
      const finished: TaskRecord = { ...task, state: "succeeded", finishedAt: clock.now() };
      transaction.putTask(finished);
      transaction.compare(entry);
      return transaction.plan(() => this.#accepted(kind, object, finished, false));
    }
    const waiting = withPendingTask(object, { id: task.id, action: "create", generation });
    transaction.putTask(task);
    transaction.putObject(waiting, entry.modRevision);
    return transaction.plan((revision) => this.#accepted(kind, at(waiting, revision), task, false));
  }

  async #cancelTask(task: TaskRecord, { signal }: ReadOptions): Promise<void> {
    const { tasks, kinds, state, clock } = this.#options;
    const { target } = task;
    const kind = target === undefined ? undefined : kinds.get(target.kind);
    const error = new VdcError("CANCELLED", `task '${task.id}' was cancelled`).toJSON();
    const finish = () => tasks.finish(task.id, { state: "cancelled", error }, { signal });
    if (kind === undefined || target === undefined) {
      await finish();
      return;
    }
    const attempt = async (): Promise<Plan<boolean>> => {
      const found = await this.#load(kind, target, signal);
      const pending = found?.object.metadata.pendingTasks.find(({ id }) => id === task.id);
      if (found === undefined || pending === undefined) return { done: true };
      if (pending.action === "delete") {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `task '${task.id}' deletes ${kind.kind} '${target.name}': that cannot be cancelled`,
          {
            reason: "VDC_TASK_NOT_CANCELLABLE",
          },
        );
      }
      const { object, entry } = found;
      const transaction = new ObjectTransaction(this.#options);
      const undone = pending.action === "create" && !isBeingDeleted(object);
      const ended = undone
        ? settleByDeletionRequest(object)
        : [{ task: pending, outcome: { state: "cancelled" as const, error } }];
      const settled = await transaction.settle(
        ended.map((one) =>
          one.task.id === task.id ? { ...one, outcome: { state: "cancelled" as const, error } } : one,
        ),
        clock.now(),
        signal,
      );
      const rest = withoutTasks(object, settled);
      await this.#write(transaction, kind, undone ? withDeletionRequested(rest, clock.now()) : rest, entry, { signal });
      return transaction.plan(() => false);
    };
    const isUnbound = await commit(state, attempt, { signal, what: `cancelling task '${task.id}'` });
    if (isUnbound) await finish();
  }

  #accepted<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    object: Resource<Spec, Status>,
    task: TaskRecord,
    created: boolean,
  ): Accepted<Spec, Status> {
    const { tenant, name } = object.metadata;
    const handle = this.#options.tasks.handleOf(task, () => this.get(kind, { tenant, name }));
    return { object, task: handle, created };
  }

  async #load<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    signal: AbortSignal | undefined,
  ): Promise<Found<Spec, Status> | undefined> {
    const { entry } = await this.#options.state.get({ key: stateKeyOf(kind.kind, key) }, { signal });
    return entry === undefined ? undefined : { entry, object: decodeResource(kind, entry) };
  }

  async #required<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    key: ObjectKey,
    signal: AbortSignal | undefined,
    ifUid: string | undefined,
  ): Promise<Found<Spec, Status>> {
    const found = await this.#load(kind, key, signal);
    if (found === undefined || (ifUid !== undefined && found.object.metadata.uid !== ifUid))
      throw notFound(kind.kind, key);
    return found;
  }
}

/** An object as it is at the revision that it was committed at. */
function at<R extends Resource>(object: R, revision: number): R {
  return { ...object, metadata: { ...object.metadata, revision } };
}

/** Whether a repeated create asks for what is there, leaving aside what other owners have changed since. */
function isSameRequest(asked: Resource, current: Resource, fieldOwner: string): boolean {
  const { fieldOwners } = current.metadata;
  const [wanted, there] = [fieldsOf(asked.spec as Json), fieldsOf(current.spec as Json)];
  const foreign = Object.keys(fieldOwners).filter((path) => fieldOwners[path] !== fieldOwner);
  const isForeign = (path: string): boolean => foreign.some((other) => arePathsRelated(other, path));
  return [...new Set([...wanted.keys(), ...there.keys()])].every(
    (path) => isEqualJson(wanted.get(path), there.get(path)) || isForeign(path),
  );
}
