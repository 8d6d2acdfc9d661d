import type { Json, JsonObject } from "@vdc-os/core";
import { admit, rejection } from "../admission/admission.ts";
import { isConditionTrue, readyCondition } from "../resource/condition.ts";
import { changeFields, releaseFields } from "../resource/field-owner.ts";
import { isEqualJson } from "../resource/field-path.ts";
import type { Kind } from "../resource/kind.ts";
import { isBeingDeleted, type ObjectKey, type Resource, referenceTo } from "../resource/resource.ts";
import { settleBySuperseding } from "../task/settle-tasks.ts";
import type { TaskRecord } from "../task/task-record.ts";
import { acceptedOf, atRevision, defaultFieldOwner, requireObject, type StoreEnvironment } from "./object-access.ts";
import { ObjectTransaction } from "./object-transaction.ts";
import { withoutTasks, withPendingTask, writtenFields } from "./resource-change.ts";
import { beingDeleted, changedMeanwhile, fieldConflict } from "./resource-errors.ts";
import type { Accepted, ApplyOptions, UpdateOptions } from "./resource-store-options.ts";
import type { Plan } from "./state-access.ts";

/** A spec to be. */
export interface DesiredSpec {
  /** The whole of it, before admission. */
  readonly desired: JsonObject;
  /** What of it the owner means to hold even where it is so already. */
  readonly written?: JsonObject;
}

/** Plans the transaction of a change of a spec. */
export async function planSpecChange<Spec, Status, Input>(
  environment: StoreEnvironment,
  kind: Kind<Spec, Status, Input>,
  call: {
    readonly key: ObjectKey;
    readonly options: ApplyOptions | UpdateOptions;
    readonly specOf: (object: Resource<Spec, Status>) => DesiredSpec;
  },
): Promise<Plan<Accepted<Spec, Status>>> {
  const { key, options, specOf } = call;
  const { policies, tasks, clock } = environment;
  const { fieldOwner = defaultFieldOwner, force = false, ifGeneration, parentTask, signal } = options;
  const { object: old, entry } = await requireObject(environment, kind, key, options);
  if (ifGeneration !== undefined && ifGeneration !== old.metadata.generation) {
    throw changedMeanwhile(kind.kind, key, "spec");
  }
  if (isBeingDeleted(old)) throw beingDeleted(kind.kind, key);
  const { desired, written } = specOf(old);
  const { object: admitted, problems } = admit(kind, { ...old, spec: desired }, { old, policies });
  if (problems.length > 0) throw rejection(kind.kind, key.name, problems);
  const transaction = new ObjectTransaction(environment);
  const change = { added: admitted.spec, removed: old.spec, signal };
  const usage = await transaction.changeUsage(kind, key.tenant, change);
  if (usage.length > 0) throw rejection(kind.kind, key.name, usage);
  const { owners, conflicts } = changeFields({
    current: old.spec as Json,
    owners: old.metadata.fieldOwners,
    desired: admitted.spec as Json,
    owner: fieldOwner,
    claims: written === undefined ? [] : writtenFields(written, admitted.spec),
  });
  if (conflicts.length > 0 && !force) throw fieldConflict(kind.kind, key, conflicts);
  const release = "release" in options ? (options.release ?? []) : [];
  const isSpecEqual = isEqualJson(old.spec as Json, admitted.spec as Json);
  const generation = old.metadata.generation + (isSpecEqual ? 0 : 1);
  const metadata = { ...admitted.metadata, fieldOwners: releaseFields(owners, fieldOwner, release), generation };
  const changed = { ...admitted, metadata };
  const put = (object: Resource<Spec, Status>, task: TaskRecord): Plan<Accepted<Spec, Status>> => {
    const isUnchanged = isEqualJson(object as unknown as Json, old as unknown as Json);
    if (isUnchanged) transaction.compare(entry);
    else transaction.putObject(object, entry.modRevision);
    return transaction.plan((revision) =>
      acceptedOf(environment, kind, { object: isUnchanged ? old : atRevision(object, revision), task, created: false }),
    );
  };

  // The same again, while the first is under way: one task is enough.
  const waiting = old.metadata.pendingTasks.find((task) => task.action === "update" && task.generation === generation);
  if (waiting !== undefined) return put(changed, await tasks.get(waiting.id, { signal }));

  const task = tasks.newRecord({
    action: "update",
    tenant: key.tenant,
    target: referenceTo(old),
    ...(parentTask === undefined ? {} : { parent: parentTask }),
  });
  if (isSpecEqual && isConditionTrue(old.conditions, readyCondition, generation)) {
    const finished: TaskRecord = { ...task, state: "succeeded", finishedAt: clock.now() };
    transaction.putTask(finished);
    return put(changed, finished);
  }
  transaction.putTask(task);
  const superseded = await transaction.settle(settleBySuperseding(old), clock.now(), signal);
  return put(withPendingTask(withoutTasks(changed, superseded), { id: task.id, action: "update", generation }), task);
}
