import { type OperationContext, VdcError } from "@vdc-os/core";
import type { GroupSnapshot, GroupSnapshotsFacet } from "@vdc-os/core/storage/v1";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import type { GroupRecord } from "./group-catalog.ts";
import { servedWriter } from "./layer-changes.ts";
import { isSameOwner } from "./same-owner.ts";
import { assertDeletable, markDeleted } from "./snapshots.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import { snapshotOf } from "./snapshot-view.ts";
import { storageFailure } from "./storage-failure.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/** How long writes are kept waiting at most, in milliseconds: then the group is given up. */
export const holdTimeoutMs = 10_000;

/**
 * Facet `groupSnapshots`: the storage processes of all volumes keep writes waiting; when all do, each takes its snapshot, which is of a moment at which all did. So a write that was
 * begun after another was acknowledged is never in without it. One that fails undoes all.
 */
export class GroupSnapshots implements GroupSnapshotsFacet {
  readonly #pool: ThinPool;

  constructor(pool: ThinPool) {
    this.#pool = pool;
  }

  async createGroupSnapshot(
    { name, volumeIds, owner }: Parameters<GroupSnapshotsFacet["createGroupSnapshot"]>[0],
    context: OperationContext,
  ): Promise<GroupSnapshot> {
    assertNotCancelled(context);
    const pool = this.#pool;
    const { catalog, groups } = pool;
    const ids = [...new Set(volumeIds)].sort();
    const present = groups.findByName(name);
    if (present !== undefined) {
      const same =
        isSameOwner(present.owner, owner) && present.members.map((one) => one.volumeId).join() === ids.join();
      if (!same) {
        throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by another group snapshot`, {
          reason: "VDC_GROUP_SNAPSHOT_EXISTS",
        });
      }
      if (!present.complete) {
        throw new VdcError("ABORTED", `group snapshot '${name}' is being taken: try again`, {
          reason: "VDC_GROUP_BUSY",
        });
      }
      return this.#view(present, context);
    }
    const entries = ids.map((volumeId) => catalog.get(volumeId));
    const groupSnapshotId = pool.random.uuid();
    const createdAt = pool.clock.now();
    const snapshots = new Map(
      entries.map((entry, index): [VolumeEntry, SnapshotRecord] => [
        entry,
        {
          snapshotId: pool.random.uuid(),
          // A name that nobody else takes.
          name: `group-${groupSnapshotId}-${index}`,
          createdAt,
          capacityBytes: entry.record.capacityBytes,
          owner,
          group: groupSnapshotId,
        },
      ]),
    );
    const members = [...snapshots].map(([{ volumeId }, { snapshotId }]) => ({ volumeId, snapshotId }));
    const group: GroupRecord = { format: 1, groupSnapshotId, name, createdAt, owner, complete: false, members };
    await changeAll(entries, "createGroupSnapshot", async () => {
      for (const entry of entries) {
        await pool.layers.settle(entry, context);
        pool.layers.assertCanTake(entry);
      }
      pool.assertCanPromise(0);
      await groups.write(group);
      try {
        await this.#take(snapshots, groupSnapshotId, context);
        await groups.write({ ...group, complete: true });
      } catch (error) {
        await this.#undo(entries, groupSnapshotId, context);
        throw storageFailure(error, `group snapshot '${name}'`);
      }
      // From here on it is there: what a kill cuts off is finished from the files.
      for (const entry of entries) await pool.layers.settle(entry, context);
    });
    return this.#view({ ...group, complete: true }, context);
  }

  async getGroupSnapshot(
    { groupSnapshotId }: { readonly groupSnapshotId: string },
    context: OperationContext,
  ): Promise<GroupSnapshot> {
    const group = this.#pool.groups.find(groupSnapshotId);
    if (group !== undefined) return this.#view(group, context);
    throw new VdcError("NOT_FOUND", `there is no group snapshot '${groupSnapshotId}' in this pool`, {
      reason: "VDC_NO_SUCH_GROUP_SNAPSHOT",
    });
  }

  async deleteGroupSnapshot(
    { groupSnapshotId }: { readonly groupSnapshotId: string },
    context: OperationContext,
  ): Promise<void> {
    assertNotCancelled(context);
    const pool = this.#pool;
    const group = pool.groups.find(groupSnapshotId);
    if (group === undefined) return;
    const members = group.members.flatMap(({ volumeId, snapshotId }) => {
      const entry = pool.catalog.find(volumeId);
      return entry === undefined ? [] : [{ entry, snapshotId }];
    });
    const entries = members.map(({ entry }) => entry);
    await changeAll(entries, "deleteGroupSnapshot", async () => {
      for (const entry of entries) await pool.layers.settle(entry, context);
      const present = members.filter(({ snapshotId }) => pool.catalog.snapshots.find(snapshotId) !== undefined);
      for (const { entry, snapshotId } of present) assertDeletable(pool, entry, snapshotId);
      for (const { entry, snapshotId } of present) await markDeleted(pool, entry, snapshotId);
      await pool.groups.remove(groupSnapshotId);
      for (const { entry } of present) await pool.removal.sweep(entry, context);
    });
  }

  async #take(
    snapshots: ReadonlyMap<VolumeEntry, SnapshotRecord>,
    holdId: string,
    context: OperationContext,
  ): Promise<void> {
    const { layers, processes } = this.#pool;
    for (const [entry, snapshot] of snapshots) await layers.begin(entry, snapshot);
    await all([...snapshots.keys()], async ({ record }) => {
      const writer = servedWriter(record);
      if (writer === undefined) return;
      await processes.request(writer.host, "hold", { ...writer.owner, holdId, timeoutMs: holdTimeoutMs }, context);
    });
    await all([...snapshots.keys()], (entry) =>
      layers.switch(entry, context, servedWriter(entry.record) === undefined ? undefined : holdId),
    );
  }

  /** Takes back what was done. What can't be reached now is taken back when it can: the group is none. */
  async #undo(entries: readonly VolumeEntry[], groupSnapshotId: string, context: OperationContext): Promise<void> {
    const { groups, layers, processes, removal } = this.#pool;
    await groups.remove(groupSnapshotId);
    for (const entry of entries) {
      const writer = servedWriter(entry.record);
      try {
        if (writer !== undefined) {
          await processes.request(writer.host, "release", { ...writer.owner, holdId: groupSnapshotId }, context);
        }
        await layers.settle(entry, context);
        await removal.sweep(entry, context);
      } catch {
        // The hold ends by itself, and the next change of the volume settles the rest.
      }
    }
  }

  async #view(group: GroupRecord, context: OperationContext): Promise<GroupSnapshot> {
    const pool = this.#pool;
    const { groupSnapshotId, name, createdAt, members } = group;
    const found = members.flatMap(({ snapshotId }) => pool.catalog.snapshots.find(snapshotId) ?? []);
    const snapshots = await Promise.all(found.map((one) => snapshotOf(pool, one, context)));
    return { groupSnapshotId, name, createdAt, snapshots };
  }
}

/** Runs a change alone in the content of several volumes. */
function changeAll<T>(entries: readonly VolumeEntry[], what: string, run: () => Promise<T>): Promise<T> {
  const [first, ...rest] = entries;
  return first === undefined ? run() : first.change(["content"], what, () => changeAll(rest, what, run));
}

/** Runs something for all, waits for all, and throws the first failure. */
async function all<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(items.map(run));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
