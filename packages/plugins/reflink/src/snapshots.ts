import { type ObjectReference, type OperationContext, type PageRequest, pageByKey, VdcError } from "@vdc-os/core";
import type { Snapshot, SnapshotsFacet } from "@vdc-os/core/storage/v1";
import { shareBlocks } from "./disk-folder.ts";
import type { SnapshotRecord } from "./records.ts";
import type { ReflinkPool } from "./reflink-pool.ts";
import { assertDetached, assertGoesOn } from "./preconditions.ts";

/** Snapshots: clones of a volume's file, which the file system makes at one moment, also while it is written. */
export function snapshotsFacet(pool: ReflinkPool): SnapshotsFacet {
  const ofVolume = (volumeId: string, snapshotId: string): SnapshotRecord => {
    pool.volume(volumeId);
    const record = pool.snapshot(snapshotId);
    if (record.volumeId === volumeId) return record;
    throw new VdcError("NOT_FOUND", `volume '${volumeId}' has no snapshot '${snapshotId}'`);
  };
  const blockersOf = (volumeId: string): readonly ObjectReference[] => {
    const { attached } = pool.volume(volumeId);
    return attached === undefined ? [] : [{ kind: "host", name: attached.host }];
  };
  return {
    async createSnapshot(input, context: OperationContext) {
      assertGoesOn(context);
      return viewOf(await pool.makeSnapshot(input, context));
    },
    async deleteSnapshot({ snapshotId }, context) {
      assertGoesOn(context);
      if (pool.snapshots.get(snapshotId) === undefined) return;
      await pool.alone(snapshotId, "delete", async () => {
        const { name, readers } = pool.snapshot(snapshotId);
        if (readers.length > 0) {
          throw new VdcError("FAILED_PRECONDITION", `snapshot '${name}' is being read on ${readers.length} hosts`, {
            blockers: readers.map((reader) => ({ kind: "host", name: reader })),
          });
        }
        await pool.snapshots.remove(snapshotId);
      });
    },
    getSnapshot: async ({ snapshotId }) => viewOf(pool.snapshot(snapshotId)),
    async listSnapshots(
      input: PageRequest & { readonly volumeId?: string; readonly name?: string; readonly ownerDatacenter?: string },
    ) {
      const { volumeId, name, ownerDatacenter } = input;
      const found = pool.snapshots
        .all()
        .filter((record) => volumeId === undefined || record.volumeId === volumeId)
        .filter((record) => name === undefined || record.name === name)
        .filter((record) => ownerDatacenter === undefined || record.owner?.datacenter === ownerDatacenter);
      const page = pageByKey(found, (record) => record.name, input);
      return { ...page, items: page.items.map(viewOf) };
    },
    async attachSnapshot({ snapshotId, host }, context) {
      assertGoesOn(context);
      return pool.alone(snapshotId, "attach", async () => {
        const record = pool.snapshot(snapshotId);
        if (!record.readers.includes(host)) {
          await pool.snapshots.update(snapshotId, { ...record, readers: [...record.readers, host] });
        }
        return { snapshotId, host, transport: { kind: "file", path: pool.snapshots.disk(snapshotId), format: "raw" } };
      });
    },
    async detachSnapshot({ snapshotId, host }) {
      if (pool.snapshots.get(snapshotId) === undefined) return;
      await pool.alone(snapshotId, "detach", async () => {
        const record = pool.snapshot(snapshotId);
        if (!record.readers.includes(host)) return;
        await pool.snapshots.update(snapshotId, {
          ...record,
          readers: record.readers.filter((reader) => reader !== host),
        });
      });
    },
    async revertToSnapshot({ volumeId, snapshotId }, context) {
      assertGoesOn(context);
      const { capacityBytes } = ofVolume(volumeId, snapshotId);
      await pool.alone(volumeId, "revert", async () => {
        const record = pool.volume(volumeId);
        assertDetached(record);
        const from = pool.snapshots.disk(snapshotId);
        await pool.resizeVolume(
          record,
          () => pool.volumes.replace(volumeId, (path) => shareBlocks(from, path)),
          capacityBytes,
        );
        await pool.noteShared(volumeId);
      });
    },
    async revertBlockers({ volumeId, snapshotId }) {
      ofVolume(volumeId, snapshotId);
      return blockersOf(volumeId);
    },
  };
}

function viewOf(record: SnapshotRecord): Snapshot {
  const { snapshotId, name, volumeId, capacityBytes, createdAt, owner } = record;
  // The file system does not tell what a snapshot has alone.
  const rest = { exclusiveBytes: 0, ready: true, ...(owner === undefined ? {} : { owner }) };
  return { snapshotId, name, volumeId, capacityBytes, createdAt, ...rest };
}
