import { isDeepStrictEqual } from "node:util";
import { type ObjectReference, type OwnerStamp, type Page, refuseWhenOver, VdcError } from "@vdc-os/core";
import type { GroupSnapshot, GroupSnapshotsFacet, Snapshot, SnapshotsFacet } from "@vdc-os/core/storage/v1";
import { contentOf, type MemorySnapshot, memoryBlockBytes } from "./memory-pool.ts";
import type { MemoryStorageProvider } from "./memory-storage-provider.ts";

/** Facets `snapshots` and `groupSnapshots` of the reference. */
export function memorySnapshots(provider: MemoryStorageProvider): {
  readonly snapshots: SnapshotsFacet;
  readonly groupSnapshots: GroupSnapshotsFacet;
} {
  const { pool } = provider;
  const find = (snapshotId: string): MemorySnapshot => {
    const snapshot = pool.snapshots.get(snapshotId);
    if (snapshot !== undefined) return snapshot;
    throw new VdcError("NOT_FOUND", `there is no snapshot '${snapshotId}'`);
  };
  const view = ({ blocks, readingHosts: _, owner, groupSnapshotId, ...facts }: MemorySnapshot): Snapshot => ({
    ...facts,
    exclusiveBytes: blocks.size * memoryBlockBytes,
    createdAt: 0,
    ready: true,
    ...(owner === undefined ? {} : { owner }),
    ...(groupSnapshotId === undefined ? {} : { groupSnapshotId }),
  });
  const inUse = ({ snapshotId, readingHosts }: MemorySnapshot): readonly ObjectReference[] => [
    ...[...readingHosts].map((name) => ({ kind: "Host", name })),
    ...[...pool.volumes.values()]
      .filter(({ parentSnapshotId }) => parentSnapshotId === snapshotId)
      .map(({ name }) => ({ kind: "Volume", name })),
  ];
  const mustBeFree = (snapshot: MemorySnapshot): void => {
    const blockers = inUse(snapshot);
    if (blockers.length > 0)
      throw new VdcError("FAILED_PRECONDITION", `snapshot '${snapshot.name}' is in use`, { blockers });
  };
  const take = (name: string, volumeId: string, owner?: OwnerStamp, groupSnapshotId?: string): MemorySnapshot => {
    const volume = provider.get(volumeId);
    const present = [...pool.snapshots.values()].find((snapshot) => snapshot.name === name);
    if (present !== undefined) {
      if (present.volumeId === volumeId && isDeepStrictEqual(present.owner, owner)) return present;
      throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by another snapshot`);
    }
    const snapshot: MemorySnapshot = {
      snapshotId: `snapshot-${pool.nextId++}`,
      name,
      volumeId,
      capacityBytes: volume.capacityBytes,
      owner,
      groupSnapshotId,
      blocks: contentOf(pool, volume),
      readingHosts: new Set(),
    };
    pool.snapshots.set(snapshot.snapshotId, snapshot);
    return snapshot;
  };
  const blockersOf = (volumeId: string, snapshotId: string): readonly ObjectReference[] => {
    const { attachment } = provider.get(volumeId);
    if (find(snapshotId).volumeId !== volumeId) throw new VdcError("NOT_FOUND", "it is another volume's");
    const children = provider.childrenOf(volumeId).map(({ name }) => ({ kind: "Volume", name }));
    return attachment === undefined ? children : [{ kind: "Host", name: attachment.host }, ...children];
  };
  const membersOf = (groupSnapshotId: string): readonly MemorySnapshot[] =>
    [...pool.snapshots.values()].filter((snapshot) => snapshot.groupSnapshotId === groupSnapshotId);
  const viewGroup = (groupSnapshotId: string): GroupSnapshot => {
    const group = pool.groups.get(groupSnapshotId);
    if (group === undefined) throw new VdcError("NOT_FOUND", `there is no group snapshot '${groupSnapshotId}'`);
    return { groupSnapshotId, name: group.name, createdAt: 0, snapshots: membersOf(groupSnapshotId).map(view) };
  };

  return {
    snapshots: {
      async createSnapshot({ name, volumeId, owner }, context) {
        refuseWhenOver(context);
        return view(take(name, volumeId, owner));
      },
      async deleteSnapshot({ snapshotId }, context) {
        refuseWhenOver(context);
        const snapshot = pool.snapshots.get(snapshotId);
        if (snapshot === undefined) return;
        mustBeFree(snapshot);
        pool.snapshots.delete(snapshotId);
      },
      getSnapshot: async ({ snapshotId }) => view(find(snapshotId)),
      async listSnapshots({ limit = 1000, pageToken, volumeId, name, ownerDatacenter }): Promise<Page<Snapshot>> {
        if (pageToken !== undefined && !pageToken.startsWith("after ")) throw new VdcError("ABORTED", "no such token");
        const after = pageToken?.slice("after ".length) ?? "";
        const found = [...pool.snapshots.values()]
          .filter((snapshot) => snapshot.name > after && (name === undefined || snapshot.name === name))
          .filter((snapshot) => volumeId === undefined || snapshot.volumeId === volumeId)
          .filter(({ owner }) => ownerDatacenter === undefined || owner?.datacenter === ownerDatacenter)
          .sort((a, b) => (a.name < b.name ? -1 : 1));
        const items = found.slice(0, limit).map(view);
        return found.length > limit ? { items, nextPageToken: `after ${items.at(-1)?.name}` } : { items };
      },
      async attachSnapshot({ snapshotId, host }) {
        find(snapshotId).readingHosts.add(host);
        return {
          snapshotId,
          host,
          transport: { kind: "nbd-unix", path: "/memory", exportName: `${snapshotId}/${host}` },
        };
      },
      async detachSnapshot({ snapshotId, host }) {
        pool.snapshots.get(snapshotId)?.readingHosts.delete(host);
      },
      async revertToSnapshot({ volumeId, snapshotId }) {
        const blockers = blockersOf(volumeId, snapshotId);
        if (blockers.length > 0) throw new VdcError("FAILED_PRECONDITION", "the volume is in use", { blockers });
        const volume = provider.get(volumeId);
        const { blocks, capacityBytes } = find(snapshotId);
        Object.assign(volume, { blocks: new Map(blocks), capacityBytes });
        volume.parentVolumeId = undefined;
        volume.parentSnapshotId = undefined;
        for (const checkpoint of volume.checkpoints.values()) checkpoint.intact = false;
      },
      revertBlockers: async ({ volumeId, snapshotId }) => blockersOf(volumeId, snapshotId),
    },
    groupSnapshots: {
      async createGroupSnapshot({ name, volumeIds, owner }) {
        const request = JSON.stringify([[...volumeIds].sort(), owner]);
        const present = [...pool.groups.values()].find((group) => group.name === name);
        if (present !== undefined) {
          if (present.request === request) return viewGroup(present.groupSnapshotId);
          throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by another group`);
        }
        for (const volumeId of volumeIds) provider.get(volumeId);
        const groupSnapshotId = `group-${pool.nextId++}`;
        for (const volumeId of volumeIds) take(`${groupSnapshotId}.${volumeId}`, volumeId, owner, groupSnapshotId);
        pool.groups.set(groupSnapshotId, { groupSnapshotId, name, request });
        return viewGroup(groupSnapshotId);
      },
      getGroupSnapshot: async ({ groupSnapshotId }) => viewGroup(groupSnapshotId),
      async deleteGroupSnapshot({ groupSnapshotId }) {
        const members = membersOf(groupSnapshotId);
        for (const snapshot of members) mustBeFree(snapshot);
        for (const { snapshotId } of members) pool.snapshots.delete(snapshotId);
        pool.groups.delete(groupSnapshotId);
      },
    },
  };
}
