import { type Clock, type Logger, type Random, VdcError } from "@vdc-os/core";
import type { Compare, KeyValue, StateOperation } from "@vdc-os/core/state/v1";
import type { AdmissionProblem, Policy } from "../admission/admission.ts";
import { changeUsage, decodeUsage, quotaProblems, type Quotas, usageKeyOf, usageOf } from "../admission/quota.ts";
import { encodeResource } from "../resource/decode-resource.ts";
import type { AnyKind } from "../resource/kind.ts";
import type { Resource } from "../resource/resource.ts";
import { stateKeyOf } from "../resource/resource-key.ts";
import type { SettledTask } from "../task/settle-tasks.ts";
import { decodeTask, encodeTask, isFinished, taskKeyOf, type TaskRecord, withOutcome } from "../task/task-record.ts";
import { dependentsFinalizer } from "./resource-change.ts";
import type { Plan, StateAccess } from "./state-access.ts";

/** What an {@link ObjectTransaction} works with. */
export interface ObjectTransactionOptions {
  readonly state: StateAccess;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly policies: readonly Policy[];
  /** Looked at anew for each change, so that limits may change while the datacenter runs. */
  readonly quotas: () => Quotas;
}

/** One transaction over an object, its tasks, its tenant's usage and its owners, as it is being put together. */
export class ObjectTransaction {
  readonly #options: ObjectTransactionOptions;
  readonly #compare = new Map<string, Compare>();
  readonly #operations = new Map<string, StateOperation>();

  constructor(options: ObjectTransactionOptions) {
    this.#options = options;
  }

  /** The transaction as a plan for `commit`. */
  plan<T>(result: (revision: number) => T): Plan<T> {
    return { compare: [...this.#compare.values()], operations: [...this.#operations.values()], result };
  }

  /** Requires that an entry is as it was read. */
  compare(entry: Compare): void {
    this.#compare.set(entry.key, { key: entry.key, modRevision: entry.modRevision });
  }

  /** Puts an object over what was read at a revision; 0 when there was none. */
  putObject(object: Resource, modRevision: number): void {
    const key = stateKeyOf(object.kind, object.metadata);
    this.compare({ key, modRevision });
    this.#put(key, encodeResource(object));
  }

  /** Removes an object. */
  deleteObject(entry: KeyValue): void {
    this.compare(entry);
    this.#operations.set(entry.key, { type: "delete", key: entry.key });
  }

  /** Puts a record of a new task. */
  putTask(task: TaskRecord): void {
    this.#put(taskKeyOf(task.id), encodeTask(task));
  }

  /** Ends tasks, and returns their ids. `fresh` is one that this transaction itself begins. */
  async settle(
    settled: readonly SettledTask[],
    now: number,
    signal: AbortSignal | undefined,
    fresh?: TaskRecord,
  ): Promise<ReadonlySet<string>> {
    for (const { task, outcome } of settled) {
      if (task.id === fresh?.id) {
        this.putTask(withOutcome(fresh, outcome, now));
        continue;
      }
      const { entry } = await this.#options.state.get({ key: taskKeyOf(task.id) }, { signal });
      if (entry === undefined || isFinished(decodeTask(entry))) continue;
      this.compare(entry);
      this.putTask(withOutcome(decodeTask(entry), outcome, now));
    }
    return new Set(settled.map(({ task }) => task.id));
  }

  /** Counts what a spec uses, and gives back what one used. Returns what speaks against it. */
  async changeUsage(
    kind: AnyKind,
    tenant: string,
    change: { readonly added?: unknown; readonly removed?: unknown; readonly signal: AbortSignal | undefined },
  ): Promise<readonly AdmissionProblem[]> {
    const added = change.added === undefined ? {} : usageOf(kind, change.added);
    const removed = change.removed === undefined ? {} : usageOf(kind, change.removed);
    const dimensions = new Set([...Object.keys(added), ...Object.keys(removed)]);
    if ([...dimensions].every((dimension) => (added[dimension] ?? 0) === (removed[dimension] ?? 0))) return [];
    const key = usageKeyOf(tenant, kind.kind);
    const { entry } = await this.#options.state.get({ key }, { signal: change.signal });
    const before = decodeUsage(entry?.value);
    const after = changeUsage(before, added, removed);
    this.compare({ key, modRevision: entry?.modRevision ?? 0 });
    if (Object.keys(after).length > 0) this.#put(key, { ...after });
    else if (entry !== undefined) this.#operations.set(key, { type: "delete", key });
    return quotaProblems(this.#options.quotas(), { tenant, kind: kind.kind }, { before, after });
  }

  /** Requires that an object's owners are there and stay, and has those that it blocks wait for it. */
  async bindOwners(object: Resource, signal: AbortSignal | undefined): Promise<void> {
    const { tenant, ownerReferences } = object.metadata;
    if (ownerReferences.filter(({ controller }) => controller).length > 1) {
      throw new VdcError(
        "INVALID_ARGUMENT",
        `${object.kind} '${object.metadata.name}' has more than one controlling owner`,
      );
    }
    for (const reference of ownerReferences) {
      const key = stateKeyOf(reference.kind, { tenant, name: reference.name });
      const { entry } = await this.#options.state.get({ key }, { signal });
      const owner = entry?.value as unknown as Resource | undefined;
      if (
        entry === undefined ||
        owner?.metadata.uid !== reference.uid ||
        owner.metadata.deletionRequestedAt !== undefined
      ) {
        throw new VdcError(
          "FAILED_PRECONDITION",
          `${object.kind} '${object.metadata.name}' cannot be owned by ${reference.kind} '${reference.name}': that is gone, or is being deleted`,
          { reason: "VDC_OWNER_GONE", blockers: [{ kind: reference.kind, name: reference.name }] },
        );
      }
      this.compare(entry);
      const { finalizers } = owner.metadata;
      if (!reference.blockOwnerDeletion || finalizers.includes(dependentsFinalizer)) continue;
      const metadata = { ...owner.metadata, finalizers: [...finalizers, dependentsFinalizer] };
      this.#put(key, encodeResource({ ...owner, metadata }));
    }
  }

  #put(key: string, value: Extract<StateOperation, { type: "put" }>["value"]): void {
    this.#operations.set(key, { type: "put", key, value });
  }
}
