import type { Bytes, JsonObject } from "@vdc-os/core";
import type { PoolCapacity, VolumeHealth } from "@vdc-os/core/storage/v1";
import type { StoragePolicySpec } from "../kinds/storage-policy-spec.ts";
import { type PolicySubject, policyProblems } from "./policy-problems.ts";

/** A storage provider as placement sees it. */
export interface PlacementPool extends PolicySubject {
  readonly name: string;
  /** Why nothing is known of it now; then nothing is placed there. */
  readonly silent?: string;
  readonly schedulable: boolean;
  readonly capacity?: PoolCapacity;
  readonly health?: VolumeHealth;
  /** The operator's limit, where there is one. */
  readonly maxOverSubscription?: number;
  /** What was promised to volumes that the provider may not count yet, in bytes. */
  readonly pendingBytes: Bytes;
}

/** What a volume needs. */
export interface VolumePlacementRequest {
  /** 0 when it is not known: its content will tell. */
  readonly capacityBytes: Bytes;
  /** Absent when a provider was asked for by name: then only its limits count. */
  readonly policy?: StoragePolicySpec;
  /** The provider that it must be on, because it was asked for by name, or has what it is cloned from. */
  readonly storage?: string;
  /** Facets that making it takes, such as `importExport`. */
  readonly facets?: readonly string[];
  /** Hosts that must reach it, all of them. */
  readonly hosts?: readonly string[];
}

/** Where a volume can go, the best first, and why not elsewhere. */
export type VolumePlacement =
  | {
      readonly placed: true;
      /** At least one. The others are for when the first has no room after all. */
      readonly ranked: readonly { readonly storage: string; readonly reason: string }[];
      readonly rejected: Readonly<Record<string, string>>;
    }
  | { readonly placed: false; readonly rejected: Readonly<Record<string, string>> };

/**
 * Chooses a storage provider: filters by policy, hosts, limits and space; then those with most of the preferred labels, then the healthy ones, then the largest
 * share of space left, then the first by name. Every provider that is not taken has its reasons. Pure: the same input gives the same answer.
 */
export function placeVolume(request: VolumePlacementRequest, pools: readonly PlacementPool[]): VolumePlacement {
  const rejected: Record<string, string> = {};
  const fitting: PlacementPool[] = [];
  for (const pool of pools) {
    const reasons = unfit(request, pool);
    if (reasons.length === 0) fitting.push(pool);
    else rejected[pool.name] = reasons.join("; ");
  }
  if (request.storage !== undefined && !pools.some(({ name }) => name === request.storage)) {
    rejected[request.storage] = "is not a storage provider of this datacenter";
  }
  if (fitting.length === 0) return { placed: false, rejected };
  const wanted = Object.entries(request.policy?.preferredLabels ?? {});
  const liked = ({ labels }: PlacementPool): number =>
    wanted.filter(([label, value]) => labels[label] === value).length;
  const ill = ({ health }: PlacementPool): number => (health === undefined || health.condition === "healthy" ? 0 : 1);
  fitting.sort(
    (a, b) =>
      liked(b) - liked(a) ||
      ill(a) - ill(b) ||
      freeAfter(request, b) - freeAfter(request, a) ||
      (a.name < b.name ? -1 : 1),
  );
  const ranked = fitting.map((pool) => ({
    storage: pool.name,
    reason: [
      request.storage === undefined ? `of ${fitting.length} that fit` : "the only one that it can be on",
      ...(wanted.length === 0 ? [] : [`${liked(pool)} of ${wanted.length} preferred labels`]),
      `${Math.round(100 * freeAfter(request, pool))} % free after it`,
    ].join(", "),
  }));
  return { placed: true, ranked, rejected };
}

/** The share of a pool that is free once a volume has all of its size. Below 0 where thin volumes are promised more. */
function freeAfter({ capacityBytes }: VolumePlacementRequest, { capacity, pendingBytes }: PlacementPool): number {
  if (capacity === undefined || capacity.totalBytes === 0) return 0;
  return (capacity.freeBytes - pendingBytes - capacityBytes) / capacity.totalBytes;
}

function unfit(request: VolumePlacementRequest, pool: PlacementPool): readonly string[] {
  const { policy, storage } = request;
  if (storage !== undefined && storage !== pool.name) return [`is not '${storage}', where it must be`];
  if (pool.silent !== undefined) return [pool.silent];
  const reasons: string[] = [];
  if (!pool.schedulable && (policy !== undefined || storage === undefined)) reasons.push("takes no new volumes");
  if (pool.health?.condition === "abnormal") reasons.push(`is not well: ${pool.health.message}`);
  for (const name of request.facets ?? []) {
    const facet = pool.facets[name];
    if (facet?.status !== "available") reasons.push(`has no facet '${name}', which making it takes`);
  }
  const blind = unreachedHosts(request.hosts ?? [], pool.attributes);
  if (blind.length > 0) reasons.push(`isn't reached by ${blind.map((host) => `'${host}'`).join(", ")}`);
  if (policy !== undefined) reasons.push(...policyProblems(policy, pool));
  return [...reasons, ...withoutRoom(request, pool)];
}

/** Those of some hosts that don't reach a provider, by what it says of itself. */
export function unreachedHosts(hosts: readonly string[], attributes: JsonObject): readonly string[] {
  const { accessibleHosts: reaching } = attributes;
  return Array.isArray(reaching) ? hosts.filter((host) => !reaching.includes(host)) : [];
}

function withoutRoom({ capacityBytes, policy }: VolumePlacementRequest, pool: PlacementPool): readonly string[] {
  const { capacity, pendingBytes } = pool;
  if (capacity === undefined) return ["does not tell its space"];
  if (capacity.staleSince !== undefined) return ["does not know its space now: its numbers are old"];
  const reasons: string[] = [];
  const { totalBytes, freeBytes, reservedBytes, provisionedBytes } = capacity;
  const limits = [pool.maxOverSubscription, policy?.maxOverSubscription, capacity.maxOverSubscription || undefined];
  const ratio = Math.min(...limits.map((limit) => limit ?? Number.POSITIVE_INFINITY));
  const promised = provisionedBytes + pendingBytes + capacityBytes;
  const usable = Math.max(0, totalBytes - reservedBytes);
  // A pool without any limit may promise what it likes, and `usable * Infinity` of an empty pool is no number.
  if (ratio !== Number.POSITIVE_INFINITY && promised > usable * ratio) {
    reasons.push(
      `would have promised ${promised} bytes, and may promise ${Math.floor(usable * ratio)} (${usable}, times ${ratio})`,
    );
  }
  // A thin volume takes its space when it is written; a thick one now.
  const takes = pool.attributes.thin === false ? capacityBytes + pendingBytes : 0;
  const kept = Math.ceil(totalBytes * (policy?.headroom ?? 0));
  const left = freeBytes - takes;
  if (left < kept || left < 0) reasons.push(`would have ${left} bytes free, and must keep ${kept}`);
  if (capacity.alarms.some(({ kind }) => kind === "outOfSpace")) reasons.push("is out of space");
  return reasons;
}
