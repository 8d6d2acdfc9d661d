import { type CallOptions, type JsonObject, toVdcError, VdcError } from "@vdc-os/core";
import {
  type PlacementPool,
  placeVolume,
  type VolumePlacement,
  type VolumePlacementRequest,
} from "../../decisions/place-volume.ts";
import { storagePoolKind } from "../../kinds/storage-pool-spec.ts";
import { storageNameOf, volumeKind } from "../../kinds/volume-spec.ts";
import type { DatacenterProviders, StorageHandle } from "../providers.ts";
import type { VolumeContext } from "./volume-object.ts";

/** How long a provider may take to say what it has, in milliseconds: one that hangs must not keep volumes from the others. */
const askTimeoutMs = 5_000;

/** What was promised to a volume: until the provider counts it, and a moment longer. */
interface Promised {
  readonly storage: string;
  readonly bytes: number;
  /** When the provider had made it, by the monotonic clock; `undefined` before. */
  countedAt: number | undefined;
}

/** Chooses storage for volumes. Volumes that are placed at once do not count on the same space. */
export class VolumePlacer {
  readonly #providers: DatacenterProviders;
  readonly #promised: Map<string, Promised> = new Map();

  constructor(providers: DatacenterProviders) {
    this.#providers = providers;
  }

  /** Asks the providers, and chooses. Throws `RESOURCE_EXHAUSTED` or `UNAVAILABLE`, reason `VDC_NO_STORAGE`, when none can take the volume: the text says why for each. */
  async choose(
    context: VolumeContext,
    request: VolumePlacementRequest,
    excluded: Readonly<Record<string, string>> = {},
  ): Promise<Extract<VolumePlacement, { readonly placed: true }>> {
    const names = request.storage === undefined ? this.#providers.storage.names() : [request.storage];
    const askedAt = context.clock.monotonic();
    const call = { signal: context.signal, tenant: context.operation.tenant, timeoutMs: askTimeoutMs };
    const asked = await Promise.all(
      names.map((name) => (excluded[name] === undefined ? this.#ask(name, call) : silentPool(name, excluded[name]))),
    );
    // From here to the choice nothing is awaited: no other volume is placed in between.
    const { uid } = context.ownerStamp;
    const pools = asked.map((pool) => {
      const object = context.cache.get(storagePoolKind, { tenant: "default", name: pool.name });
      const limit = object?.spec.maxOverSubscription;
      return {
        ...pool,
        schedulable: object?.spec.schedulable ?? true,
        labels: object?.metadata.labels ?? {},
        pendingBytes: this.#pendingBytes(context, pool.name, askedAt),
        ...(limit === undefined ? {} : { maxOverSubscription: limit }),
      };
    });
    const decision = placeVolume(request, pools);
    if (decision.placed) {
      this.promise(uid, decision.ranked[0]?.storage ?? "", request.capacityBytes);
      return decision;
    }
    const reasons = Object.entries(decision.rejected).map(([name, reason]) => `'${name}' ${reason}`);
    const away = pools.some(({ name, silent }) => silent !== undefined && excluded[name] === undefined);
    throw new VdcError(
      away ? "UNAVAILABLE" : "RESOURCE_EXHAUSTED",
      `no storage can take volume '${context.key.name}': ${reasons.length === 0 ? "the datacenter has none" : reasons.join("; ")}`,
      { reason: "VDC_NO_STORAGE", details: { rejected: decision.rejected } },
    );
  }

  /** Notes what is being promised to a volume. */
  promise(uid: string, storage: string, bytes: number): void {
    this.#promised.set(uid, { storage, bytes, countedAt: undefined });
  }

  /** The provider has made the volume: from now on it counts it. */
  counted(uid: string, now: number): void {
    const promised = this.#promised.get(uid);
    if (promised !== undefined) promised.countedAt = now;
  }

  /** Nothing is promised to a volume any more. */
  forget(uid: string): void {
    this.#promised.delete(uid);
  }

  #pendingBytes(context: VolumeContext, name: string, askedAt: number): number {
    const { uid } = context.ownerStamp;
    let bytes = 0;
    for (const [other, promised] of this.#promised) {
      // Counted before the provider was asked by anybody who still waits for its answer.
      if (promised.countedAt !== undefined && promised.countedAt < askedAt - 2 * askTimeoutMs)
        this.#promised.delete(other);
      else if (other !== uid && promised.storage === name && (promised.countedAt ?? askedAt) >= askedAt)
        bytes += promised.bytes;
    }
    // Of a manager before this one: the choice is on record, and the volume not made yet.
    for (const volume of context.cache.list(volumeKind)) {
      const { metadata, status, spec } = volume;
      if (metadata.uid === uid || status.volumeId !== undefined || this.#promised.has(metadata.uid)) continue;
      if (status.storage !== undefined && storageNameOf(volume) === name) bytes += spec.capacityBytes ?? 0;
    }
    return bytes;
  }

  async #ask(name: string, call: CallOptions): Promise<PlacementPool> {
    try {
      const storage: StorageHandle = this.#providers.storage.get(name);
      const [{ facets, attributes }, capacity, health] = await Promise.all([
        storage.describe({ scope: {} }, call),
        storage.capacity({}, call),
        storage.health({}, call),
      ]);
      return { ...silentPool(name), facets, attributes: attributes as JsonObject, capacity, health };
    } catch (error) {
      return silentPool(name, `does not answer now: ${toVdcError(error).message}`);
    }
  }
}

function silentPool(name: string, silent?: string): PlacementPool {
  const base = { name, schedulable: true, facets: {}, attributes: {}, labels: {}, pendingBytes: 0 };
  return silent === undefined ? base : { ...base, silent };
}
