import { isDeepStrictEqual } from "node:util";
import { type ObjectReference, type OwnerStamp, VdcError } from "@vdc-os/core";
import type { GroupSnapshot, GroupSnapshotsFacet, SnapshotsFacet } from "@vdc-os/core/storage/v1";
import { pageByKey } from "@vdc-os/core";
import type { SimulatedBlockDevice } from "./simulated-block-device.ts";
import { SparseLayer } from "./sparse-layer.ts";
import type { VolumePool } from "./volume-pool.ts";
import type { SnapshotRecord } from "./volume-record.ts";

/** Snapshots: the content so far is frozen, and the volume goes on in a layer above it. */
export function snapshotsFacet(pool: VolumePool): SnapshotsFacet {
  const ofVolume = (volumeId: string, snapshotId: string): SnapshotRecord => {
    pool.volume(volumeId);
    const record = pool.snapshot(snapshotId);
    if (record.snapshot.volumeId === volumeId) return record;
    throw new VdcError("NOT_FOUND", `volume '${volumeId}' has no snapshot '${snapshotId}'`);
  };
  const blockersOf = (volumeId: string): readonly ObjectReference[] => {
    const { attachment } = pool.volume(volumeId);
    return [...(attachment === undefined ? [] : [{ kind: "Host", name: attachment.host }]), ...pool.readers(volumeId)];
  };
  return {
    createSnapshot: async (input) => pool.toSnapshot(takeSnapshot(pool, input)),
    async deleteSnapshot({ snapshotId }) {
      if (!pool.snapshots.has(snapshotId)) return;
      mustNotBeRead(pool, snapshotId);
      mustHaveNoClones(pool, snapshotId);
      pool.snapshots.delete(snapshotId);
    },
    getSnapshot: async ({ snapshotId }) => pool.toSnapshot(pool.snapshot(snapshotId)),
    async listSnapshots(input) {
      const { volumeId, name, ownerDatacenter } = input;
      const found = [...pool.snapshots.values()].filter(
        ({ snapshot }) =>
          (volumeId === undefined || snapshot.volumeId === volumeId) &&
          (name === undefined || snapshot.name === name) &&
          (ownerDatacenter === undefined || snapshot.owner?.datacenter === ownerDatacenter),
      );
      const page = pageByKey(found, ({ snapshot }) => `${snapshot.name}\n${snapshot.snapshotId}`, input);
      return { ...page, items: page.items.map((record) => pool.toSnapshot(record)) };
    },
    async attachSnapshot({ snapshotId, host }) {
      const { readingHosts } = pool.snapshot(snapshotId);
      readingHosts.add(host);
      const path = `/simulated/${pool.world.name}/${host}/storage.sock`;
      return {
        snapshotId,
        host,
        transport: { kind: "nbd-unix", path, exportName: snapshotExportName(pool, snapshotId, host) },
      };
    },
    async detachSnapshot({ snapshotId, host }) {
      pool.snapshots.get(snapshotId)?.readingHosts.delete(host);
    },
    async revertToSnapshot({ volumeId, snapshotId }) {
      const { layer, snapshot } = ofVolume(volumeId, snapshotId);
      const record = pool.volume(volumeId);
      const blockers = blockersOf(volumeId);
      if (blockers.length > 0) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${record.facts.name}' is in use`, { blockers });
      }
      record.layer = new SparseLayer(layer);
      record.capacityBytes = snapshot.capacityBytes;
      for (const checkpoint of record.checkpoints.values()) checkpoint.broken = "the volume was reverted to a snapshot";
    },
    async revertBlockers({ volumeId, snapshotId }) {
      ofVolume(volumeId, snapshotId);
      return blockersOf(volumeId);
    },
  };
}

/** Takes a snapshot, or finds that it is taken. */
function takeSnapshot(
  pool: VolumePool,
  input: {
    readonly name: string;
    readonly volumeId: string;
    readonly owner?: OwnerStamp;
    readonly groupSnapshotId?: string;
  },
): SnapshotRecord {
  const { name, volumeId, owner, groupSnapshotId } = input;
  for (const present of pool.snapshots.values()) {
    if (present.snapshot.name !== name) continue;
    if (present.snapshot.volumeId === volumeId && isDeepStrictEqual(present.snapshot.owner, owner)) return present;
    throw new VdcError("ALREADY_EXISTS", `there is a snapshot '${name}' of another volume or owner`);
  }
  const volume = pool.volume(volumeId);
  const layer = volume.layer;
  const record: SnapshotRecord = {
    layer,
    readingHosts: new Set(),
    snapshot: {
      snapshotId: pool.world.nextId("snapshot"),
      name,
      volumeId,
      capacityBytes: volume.capacityBytes,
      createdAt: pool.world.clock.now(),
      ready: true,
      ...(owner === undefined ? {} : { owner }),
      ...(groupSnapshotId === undefined ? {} : { groupSnapshotId }),
    },
  };
  volume.layer = new SparseLayer(layer);
  pool.snapshots.set(record.snapshot.snapshotId, record);
  return record;
}

/** The export under which a host reads a snapshot. */
export function snapshotExportName(pool: VolumePool, snapshotId: string, host: string): string {
  return `${pool.name}/snapshot/${snapshotId}@${host}`;
}

/** The data path of a snapshot that is attached to a host; `undefined` for any other export. Each read asks whether it still is. */
export function openSnapshotExport(pool: VolumePool, exportName: string): SimulatedBlockDevice | undefined {
  const [, name, snapshotId = "", host = ""] = /^(.*)\/snapshot\/([^/@]+)@(.+)$/.exec(exportName) ?? [];
  if (name !== pool.name) return undefined;
  const attached = (): SnapshotRecord => {
    const record = pool.snapshots.get(snapshotId);
    if (record?.readingHosts.has(host)) return record;
    throw new VdcError("FAILED_PRECONDITION", `snapshot '${snapshotId}' is not attached to host '${host}'`);
  };
  const refuse = async (): Promise<never> => {
    throw new VdcError("PERMISSION_DENIED", `snapshot '${snapshotId}' is never written`);
  };
  return {
    capacityBytes: attached().snapshot.capacityBytes,
    readOnly: true,
    read: async (offset, length) => attached().layer.read(offset, length),
    write: refuse,
    discard: refuse,
    flush: async () => {},
    close: async () => {},
  };
}

function mustNotBeRead(pool: VolumePool, snapshotId: string): void {
  const { readingHosts } = pool.snapshot(snapshotId);
  if (readingHosts.size === 0) return;
  throw new VdcError("FAILED_PRECONDITION", `snapshot '${snapshotId}' is being read`, {
    blockers: [...readingHosts].map((name) => ({ kind: "Host", name })),
  });
}

function mustHaveNoClones(pool: VolumePool, snapshotId: string): void {
  const children = [...pool.volumes.values()].filter(
    ({ source, linkedTo }) => linkedTo !== undefined && source?.kind === "snapshot" && source.snapshotId === snapshotId,
  );
  if (children.length === 0) return;
  throw new VdcError("FAILED_PRECONDITION", `snapshot '${snapshotId}' has clones`, {
    blockers: children.map(({ facts }) => ({ kind: "Volume", name: facts.name })),
  });
}

/** Snapshots of several volumes. The world does one thing at a time, so one moment is one call. */
export function groupSnapshotsFacet(pool: VolumePool): GroupSnapshotsFacet {
  const groups = new Map<
    string,
    {
      readonly group: Omit<GroupSnapshot, "snapshots">;
      readonly input: unknown;
      readonly records: readonly SnapshotRecord[];
    }
  >();
  const show = (id: string): GroupSnapshot => {
    const found = groups.get(id);
    if (found === undefined) throw new VdcError("NOT_FOUND", `there is no group snapshot '${id}'`);
    return { ...found.group, snapshots: found.records.map((record) => pool.toSnapshot(record)) };
  };
  return {
    async createGroupSnapshot(input) {
      const { name, volumeIds, owner } = input;
      for (const [id, present] of groups) {
        if (present.group.name !== name) continue;
        if (isDeepStrictEqual(present.input, input)) return show(id);
        throw new VdcError("ALREADY_EXISTS", `there is a group snapshot '${name}' of other volumes`);
      }
      for (const volumeId of volumeIds) pool.volume(volumeId);
      const groupSnapshotId = pool.world.nextId("group-snapshot");
      const records = volumeIds.map((volumeId) =>
        takeSnapshot(pool, {
          name: `${groupSnapshotId}.${volumeId}`,
          volumeId,
          groupSnapshotId,
          ...(owner === undefined ? {} : { owner }),
        }),
      );
      groups.set(groupSnapshotId, {
        group: { groupSnapshotId, name, createdAt: pool.world.clock.now() },
        input,
        records,
      });
      return show(groupSnapshotId);
    },
    getGroupSnapshot: async ({ groupSnapshotId }) => show(groupSnapshotId),
    async deleteGroupSnapshot({ groupSnapshotId }) {
      const found = groups.get(groupSnapshotId);
      if (found === undefined) return;
      for (const { snapshot } of found.records) {
        mustNotBeRead(pool, snapshot.snapshotId);
        mustHaveNoClones(pool, snapshot.snapshotId);
      }
      for (const { snapshot } of found.records) pool.snapshots.delete(snapshot.snapshotId);
      groups.delete(groupSnapshotId);
    },
  };
}
