import { type Clock, type Logger, type Random, toVdcError } from "@vdc-os/core";
import { decodeResource } from "../resource/decode-resource.ts";
import type { AnyKind, Kind } from "../resource/kind.ts";
import { hasLabels, type ObjectKey, type Resource } from "../resource/resource.ts";
import { objectsPrefix, parseStateKey, stateKeyOf } from "../resource/resource-key.ts";
import type { StateAccess } from "./state-access.ts";
import { type MirrorChange, StateMirror } from "./state-mirror.ts";

/** A change of an object. `object` is the object as it is, or was before it was deleted; `old` as it was before. */
export interface ObjectChange {
  readonly type: "added" | "modified" | "deleted";
  readonly object: Resource;
  readonly old: Resource | undefined;
}

/** Options of {@link ObjectCache}. */
export interface ObjectCacheOptions {
  readonly state: StateAccess;
  readonly kinds: ReadonlyMap<string, AnyKind>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Hears of each change, in order, after the cache shows it. */
export type ObjectListener = (change: ObjectChange) => void;

/**
 * Every object of the known kinds, in memory, following the state store (an informer). Reads cost nothing but may be a moment
 * behind; after a gap of the watch it catches up, deletions included. An object that is replaced by another of its name between
 * two looks is told as deleted and added.
 */
export class ObjectCache {
  readonly #objects = new Map<string, Resource>();
  readonly #byKind = new Map<string, Map<string, Resource>>();
  readonly #byOwner = new Map<string, Set<string>>();
  readonly #listeners = new Set<ObjectListener>();
  readonly #gapListeners = new Set<() => void>();
  readonly #mirror: StateMirror;
  readonly #options: ObjectCacheOptions;
  #isListed = false;

  constructor(options: ObjectCacheOptions) {
    this.#options = options;
    this.#mirror = new StateMirror({
      ...options,
      prefix: objectsPrefix,
      onChange: (change) => this.#change(change),
      onListed: () => {
        if (this.#isListed) for (const listener of [...this.#gapListeners]) listener();
        this.#isListed = true;
      },
    });
  }

  /** Begins to follow. Resolves once everything that was there is shown. */
  start(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return this.#mirror.start(options);
  }

  /** Stops to follow; what is shown stays. */
  stop(): Promise<void> {
    return this.#mirror.stop();
  }

  /** The object, as last seen. */
  get<Spec, Status, Input>(kind: Kind<Spec, Status, Input>, key: ObjectKey): Resource<Spec, Status> | undefined {
    return this.#objects.get(stateKeyOf(kind.kind, key)) as Resource<Spec, Status> | undefined;
  }

  /** The objects of a kind, in no particular order. */
  list<Spec, Status, Input>(
    kind: Kind<Spec, Status, Input>,
    filter: { readonly tenant?: string; readonly labels?: Readonly<Record<string, string>> } = {},
  ): readonly Resource<Spec, Status>[] {
    const { tenant, labels = {} } = filter;
    const objects = [...(this.#byKind.get(kind.kind)?.values() ?? [])] as Resource<Spec, Status>[];
    return objects.filter(
      (object) => (tenant === undefined || object.metadata.tenant === tenant) && hasLabels(object, labels),
    );
  }

  /** The objects that name this uid as an owner. */
  ownedBy(uid: string): readonly Resource[] {
    return [...(this.#byOwner.get(uid) ?? [])].flatMap((key) => this.#objects.get(key) ?? []);
  }

  /** Every object of every known kind. */
  all(): readonly Resource[] {
    return [...this.#objects.values()];
  }

  /** Listens to changes until the function that it returns is called. What is there already is not told. A listener must not throw. */
  onChange(listener: ObjectListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Listens to gaps: the cache has caught up, but what was between is not known. */
  onGap(listener: () => void): () => void {
    this.#gapListeners.add(listener);
    return () => this.#gapListeners.delete(listener);
  }

  #change(change: MirrorChange): void {
    const key = change.type === "put" ? change.entry.key : change.key;
    const old = this.#objects.get(key);
    const object = change.type === "put" ? this.#decode(change.entry) : undefined;
    if (object !== undefined && old !== undefined && old.metadata.uid === object.metadata.uid) {
      this.#set(key, old, object);
      this.#tell({ type: "modified", object, old });
      return;
    }
    this.#set(key, old, object);
    if (old !== undefined) this.#tell({ type: "deleted", object: old, old });
    if (object !== undefined) this.#tell({ type: "added", object, old: undefined });
  }

  #decode(entry: Extract<MirrorChange, { type: "put" }>["entry"]): Resource | undefined {
    const kind = this.#options.kinds.get(parseStateKey(entry.key)?.kind ?? "");
    if (kind === undefined) return undefined;
    try {
      return decodeResource(kind, entry);
    } catch (error) {
      this.#options.logger.error("an object cannot be read", { key: entry.key, error: toVdcError(error).message });
      return undefined;
    }
  }

  #set(key: string, old: Resource | undefined, object: Resource | undefined): void {
    for (const { uid } of old?.metadata.ownerReferences ?? []) {
      const owned = this.#byOwner.get(uid);
      owned?.delete(key);
      if (owned?.size === 0) this.#byOwner.delete(uid);
    }
    if (object === undefined) {
      this.#objects.delete(key);
      if (old !== undefined) this.#byKind.get(old.kind)?.delete(key);
      return;
    }
    this.#objects.set(key, object);
    const ofKind = this.#byKind.get(object.kind) ?? new Map<string, Resource>();
    this.#byKind.set(object.kind, ofKind.set(key, object));
    for (const { uid } of object.metadata.ownerReferences) {
      const owned = this.#byOwner.get(uid) ?? new Set<string>();
      this.#byOwner.set(uid, owned.add(key));
    }
  }

  #tell(change: ObjectChange): void {
    for (const listener of [...this.#listeners]) listener(change);
  }
}
