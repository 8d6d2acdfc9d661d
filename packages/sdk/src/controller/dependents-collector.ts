import type { Clock, Logger, Random } from "@vdc-os/core";
import type { AnyKind } from "../resource/kind.ts";
import { isBeingDeleted, type ObjectKey, type Resource } from "../resource/resource.ts";
import type { ObjectCache } from "../store/object-cache.ts";
import { dependentsFinalizer } from "../store/resource-change.ts";
import type { ResourceStore } from "../store/resource-store.ts";
import { KeyedWorker, type WorkerStatus } from "./keyed-worker.ts";

/** Options of {@link DependentsCollector}. */
export interface DependentsCollectorOptions {
  readonly store: ResourceStore;
  readonly cache: ObjectCache;
  readonly kinds: ReadonlyMap<string, AnyKind>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface KindKey extends ObjectKey {
  readonly kind: string;
}

/**
 * Deletes, in the background, objects of which every owner is gone or being deleted; and lets go of owners that waited for objects
 * which block their deletion.
 */
export class DependentsCollector {
  readonly #options: DependentsCollectorOptions;
  readonly #worker: KeyedWorker<KindKey>;
  readonly #unsubscribe: (() => void)[] = [];

  constructor(options: DependentsCollectorOptions) {
    this.#options = options;
    this.#worker = new KeyedWorker({
      ...options,
      name: "dependents",
      id: ({ tenant, kind, name }) => `${tenant}/${kind}/${name}`,
      group: ({ tenant }) => tenant,
      concurrency: 2,
      run: (key, signal) => this.#look(key, signal),
    });
  }

  /** Looks at every object once, and from then on at what changes. The cache must have started. */
  start(): void {
    const { cache } = this.#options;
    this.#unsubscribe.push(
      cache.onChange(({ type, object, old }) => {
        if (type !== "modified" || (isBeingDeleted(object) && !(old && isBeingDeleted(old)))) this.#addAround(object);
      }),
      cache.onGap(() => this.#addAll()),
    );
    this.#addAll();
    this.#worker.start();
  }

  /** See {@link KeyedWorker.stop}. */
  stop(options: { readonly drainMs?: number; readonly abortMs?: number }): Promise<readonly string[]> {
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe();
    return this.#worker.stop(options);
  }

  get status(): WorkerStatus {
    return this.#worker.status;
  }

  #addAll(): void {
    for (const object of this.#options.cache.all()) this.#add(object);
  }

  #addAround(object: Resource): void {
    this.#add(object);
    for (const dependent of this.#options.cache.ownedBy(object.metadata.uid)) this.#add(dependent);
    const { tenant, ownerReferences } = object.metadata;
    for (const { kind, name, blockOwnerDeletion } of ownerReferences) {
      if (blockOwnerDeletion) this.#worker.add({ tenant, kind, name });
    }
  }

  #add(object: Resource): void {
    const { tenant, name, ownerReferences, finalizers } = object.metadata;
    if (ownerReferences.length === 0 && !finalizers.includes(dependentsFinalizer)) return;
    this.#worker.add({ tenant, name, kind: object.kind });
  }

  async #look(key: KindKey, signal: AbortSignal): Promise<void> {
    const { store, cache, kinds } = this.#options;
    const kind = kinds.get(key.kind);
    const object = kind && (await store.find(kind, key, { signal }));
    if (kind === undefined || object === undefined) return;
    const { uid, finalizers, ownerReferences } = object.metadata;
    if (isBeingDeleted(object)) {
      // The cache has seen the request for deletion, or an older state that has more dependents: never fewer than there are.
      if (!finalizers.includes(dependentsFinalizer)) return;
      const isBlocked = cache
        .ownedBy(uid)
        .some(({ metadata }) =>
          metadata.ownerReferences.some((owner) => owner.uid === uid && owner.blockOwnerDeletion),
        );
      if (!isBlocked && isBeingDeletedIn(cache, kind, key)) {
        await store.removeFinalizer(kind, key, dependentsFinalizer, { ifUid: uid, signal });
      }
      return;
    }
    if (ownerReferences.length === 0) return;
    for (const owner of ownerReferences) if (await this.#isAlive(key.tenant, owner, signal)) return;
    await store.delete(kind, key, { ifUid: uid, signal });
  }

  async #isAlive(
    tenant: string,
    owner: Resource["metadata"]["ownerReferences"][number],
    signal: AbortSignal,
  ): Promise<boolean> {
    const kind = this.#options.kinds.get(owner.kind);
    // An owner of a kind that is not known here may be there: what is in doubt stays.
    if (kind === undefined) return true;
    const found = await this.#options.store.find(kind, { tenant, name: owner.name }, { signal });
    return found !== undefined && found.metadata.uid === owner.uid && !isBeingDeleted(found);
  }
}

/** Whether the cache is recent enough to show the request for deletion: from then on nothing new can become a dependent. */
function isBeingDeletedIn(cache: ObjectCache, kind: AnyKind, key: ObjectKey): boolean {
  const cached = cache.get(kind, key);
  return cached !== undefined && isBeingDeleted(cached);
}
