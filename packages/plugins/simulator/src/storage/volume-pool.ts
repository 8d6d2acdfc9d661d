import { isDeepStrictEqual } from "node:util";
import { type JsonObject, type ObjectReference, type OwnerStamp, VdcError } from "@vdc-os/core";
import type { CapacityAlarm, PoolCapacity, Snapshot, StorageAttributes, Volume } from "@vdc-os/core/storage/v1";
import type { WorldServices } from "../world/world-services.ts";
import { blockBytes, type SparseLayer } from "./sparse-layer.ts";
import {
  type NewVolume,
  newVolumeRecord,
  type SnapshotRecord,
  type VolumeOrigin,
  type VolumeRecord,
} from "./volume-record.ts";

/** Options of a simulated pool. */
export interface PoolOptions {
  /** Defaults to 1 TiB. */
  readonly totalBytes?: number;
  /** How far the virtual sizes may exceed the total. Defaults to 20. */
  readonly maxOverSubscription?: number;
  /** Fractions of the total at which what is allocated, and of what may be promised at which what is provisioned, raises an alarm. Defaults to 0.75 and 0.9. */
  readonly alarmThresholds?: readonly number[];
  /** What the pool says of itself besides, for policies to match on. `media` defaults to `memory`. Read at each call: a test may change it. */
  readonly attributes?: StorageAttributes;
}

/** What a new volume is called, and to whom it belongs. */
export interface VolumeIdentity {
  readonly name: string;
  readonly owner?: OwnerStamp | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly accessibleHosts?: readonly string[] | undefined;
}

/** The volumes and snapshots of a pool, and what can be known of them. */
export class VolumePool {
  readonly name: string;
  readonly totalBytes: number;
  readonly maxOverSubscription: number;
  readonly #options: PoolOptions;
  readonly #alarmThresholds: readonly number[];
  readonly world: WorldServices;
  readonly volumes: Map<string, VolumeRecord> = new Map();
  readonly snapshots: Map<string, SnapshotRecord> = new Map();

  constructor(name: string, world: WorldServices, options: PoolOptions = {}) {
    this.name = name;
    this.world = world;
    this.totalBytes = options.totalBytes ?? 1024 ** 4;
    this.maxOverSubscription = options.maxOverSubscription ?? 20;
    this.#alarmThresholds = options.alarmThresholds ?? [0.75, 0.9];
    this.#options = options;
  }

  get attributes(): JsonObject {
    return { media: "memory", thin: true, outOfSpace: "report", ...this.#options.attributes } as JsonObject;
  }

  /** Throws `NOT_FOUND`. A volume that its owner deleted is not found. */
  volume(volumeId: string): VolumeRecord {
    const record = this.volumes.get(volumeId);
    if (record === undefined || record.tombstoned) throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`);
    return record;
  }

  snapshot(snapshotId: string): SnapshotRecord {
    const record = this.snapshots.get(snapshotId);
    if (record === undefined) throw new VdcError("NOT_FOUND", `there is no snapshot '${snapshotId}'`);
    return record;
  }

  byName(name: string): VolumeRecord | undefined {
    for (const record of this.volumes.values()) if (!record.tombstoned && record.facts.name === name) return record;
    return undefined;
  }

  /** The volume that this very call has made before. `ALREADY_EXISTS` when the name is taken by another. */
  repeated(name: string, origin: VolumeOrigin): VolumeRecord | undefined {
    const record = this.byName(name);
    if (record === undefined) return undefined;
    if (isDeepStrictEqual(record.origin, origin)) return record;
    throw new VdcError("ALREADY_EXISTS", `there is a volume '${name}' with another spec in pool '${this.name}'`);
  }

  add(identity: VolumeIdentity, content: Omit<NewVolume, "facts">): VolumeRecord {
    const { capacityBytes } = content;
    if (capacityBytes <= 0) throw new VdcError("OUT_OF_RANGE", "a volume has at least one byte");
    const reaching = this.#options.attributes?.accessibleHosts;
    const blind = identity.accessibleHosts?.filter((host) => reaching?.includes(host) === false) ?? [];
    if (blind.length > 0) {
      const hosts = blind.map((host) => `'${host}'`).join(", ");
      throw new VdcError("RESOURCE_EXHAUSTED", `pool '${this.name}' isn't reached by ${hosts}`);
    }
    const accessibleHosts = identity.accessibleHosts ?? reaching;
    const { totalBytes, provisionedBytes } = this.capacity();
    if (provisionedBytes + capacityBytes > totalBytes * this.maxOverSubscription) {
      throw new VdcError(
        "RESOURCE_EXHAUSTED",
        `volume '${identity.name}' of ${capacityBytes} bytes does not fit into pool '${this.name}'`,
      );
    }
    const record = newVolumeRecord({
      ...content,
      facts: {
        volumeId: this.world.nextId("volume"),
        name: identity.name,
        createdAt: this.world.clock.now(),
        parameters: identity.parameters ?? {},
        ...(identity.owner === undefined ? {} : { owner: identity.owner }),
        ...(accessibleHosts === undefined ? {} : { accessibleHosts }),
      },
    });
    this.volumes.set(record.facts.volumeId, record);
    return record;
  }

  /** The volumes that read a volume's blocks. */
  childrenOf(volumeId: string): readonly VolumeRecord[] {
    return [...this.volumes.values()].filter(({ linkedTo }) => linkedTo === volumeId);
  }

  /** The snapshots of a volume. */
  snapshotsOf(volumeId: string): readonly SnapshotRecord[] {
    return [...this.snapshots.values()].filter(({ snapshot }) => snapshot.volumeId === volumeId);
  }

  /** Whether a volume's content must stay as it is, and for whom. */
  readers(volumeId: string): readonly ObjectReference[] {
    return this.childrenOf(volumeId)
      .filter(({ source }) => source?.kind !== "snapshot")
      .map(({ facts }) => ({ kind: "Volume", name: facts.name }));
  }

  /** How many volumes a read may go through. */
  depthOf(record: VolumeRecord): number {
    let depth = 1;
    for (let at = record.linkedTo; at !== undefined; at = this.volumes.get(at)?.linkedTo) depth += 1;
    return depth;
  }

  /** Gives a volume a content of its own, that reads the same. */
  flatten(record: VolumeRecord): void {
    const parent = record.linkedTo;
    record.layer = record.layer.flattened();
    record.layer.truncate(record.capacityBytes);
    record.linkedTo = undefined;
    record.overlay = false;
    record.source = undefined;
    if (parent !== undefined) this.collect(parent);
  }

  /** Forgets a tombstoned volume that nobody reads any more, and so on upwards. */
  collect(volumeId: string): void {
    const record = this.volumes.get(volumeId);
    if (record === undefined || !record.tombstoned || this.childrenOf(volumeId).length > 0) return;
    this.volumes.delete(volumeId);
    for (const { snapshot } of this.snapshotsOf(volumeId)) this.snapshots.delete(snapshot.snapshotId);
    if (record.linkedTo !== undefined) this.collect(record.linkedTo);
  }

  capacity(): PoolCapacity {
    const layers = new Set<SparseLayer>();
    let provisionedBytes = 0;
    for (const record of this.volumes.values()) {
      if (!record.tombstoned) provisionedBytes += record.capacityBytes;
      addLayers(layers, record.layer);
    }
    for (const { layer } of this.snapshots.values()) addLayers(layers, layer);
    const allocatedBytes = [...layers].reduce((sum, layer) => sum + layer.ownBytes, 0);
    const { totalBytes, maxOverSubscription } = this;
    const freeBytes = Math.max(0, totalBytes - allocatedBytes);
    const alarms = this.#alarms(allocatedBytes / totalBytes, provisionedBytes / totalBytes);
    return { totalBytes, freeBytes, allocatedBytes, provisionedBytes, reservedBytes: 0, maxOverSubscription, alarms };
  }

  #alarms(allocated: number, provisioned: number): readonly CapacityAlarm[] {
    const alarms: CapacityAlarm[] = [];
    const passed = (kind: CapacityAlarm["kind"], value: number, thresholds: readonly number[]): void => {
      const threshold = thresholds.filter((at) => value >= at).at(-1);
      if (threshold === undefined) return;
      const percent = `${Math.round(value * 100)} % of pool '${this.name}' are ${kind}`;
      alarms.push({ kind, threshold, value, message: `${percent}: past ${Math.round(threshold * 100)} %` });
    };
    const sorted = [...this.#alarmThresholds].sort((a, b) => a - b);
    passed("allocated", allocated, sorted);
    passed(
      "provisioned",
      provisioned,
      sorted.map((at) => at * this.maxOverSubscription),
    );
    const room = this.totalBytes * (1 - allocated) < blockBytes;
    if (room)
      alarms.push({ kind: "outOfSpace", threshold: 1, value: allocated, message: "the simulated pool is full" });
    return alarms;
  }

  /** Refuses a write that the pool has no room for. */
  mustHaveRoom(bytes: number): void {
    // Counting all blocks for each write would be slow, so a pool counts only when the write could matter.
    if (bytes < blockBytes && this.totalBytes >= 1024 ** 3) return;
    const { freeBytes } = this.capacity();
    if (bytes > freeBytes) {
      throw new VdcError(
        "RESOURCE_EXHAUSTED",
        `pool '${this.name}' has ${freeBytes} bytes left, and ${bytes} are to be written`,
      );
    }
  }

  toVolume(record: VolumeRecord): Volume {
    const own = this.#ownLayers(record);
    const allocatedBytes = own.reduce((sum, layer) => sum + layer.ownBytes, 0);
    const shared = new Set<SparseLayer>();
    for (const other of this.volumes.values()) if (other !== record) addLayers(shared, other.layer);
    const { volumeId } = record.facts;
    for (const { layer, snapshot } of this.snapshots.values())
      if (snapshot.volumeId !== volumeId) addLayers(shared, layer);
    const exclusiveBytes = own.reduce((sum, layer) => sum + (shared.has(layer) ? 0 : layer.ownBytes), 0);
    return {
      ...record.facts,
      capacityBytes: record.capacityBytes,
      allocatedBytes,
      exclusiveBytes,
      ...(record.source === undefined ? {} : { parent: record.source }),
    };
  }

  toSnapshot(record: SnapshotRecord): Snapshot {
    const others = new Set<SparseLayer>();
    for (const { layer } of this.volumes.values()) addLayers(others, layer);
    for (const other of this.snapshots.values()) if (other !== record) addLayers(others, other.layer);
    return { ...record.snapshot, exclusiveBytes: others.has(record.layer) ? 0 : record.layer.ownBytes };
  }

  /** The layers that are the volume's own, not its parent's. */
  #ownLayers(record: VolumeRecord): readonly SparseLayer[] {
    const parents = new Set<SparseLayer>();
    const parent = record.linkedTo === undefined ? undefined : this.volumes.get(record.linkedTo);
    if (parent !== undefined) addLayers(parents, parent.layer);
    if (record.source?.kind === "snapshot") {
      const snapshot = this.snapshots.get(record.source.snapshotId);
      if (snapshot !== undefined) addLayers(parents, snapshot.layer);
    }
    const own = new Set<SparseLayer>();
    addLayers(own, record.layer);
    return [...own].filter((layer) => !parents.has(layer));
  }
}

function addLayers(layers: Set<SparseLayer>, from: SparseLayer): void {
  for (let layer: SparseLayer | undefined = from; layer !== undefined && !layers.has(layer); layer = layer.parent) {
    layers.add(layer);
  }
}
