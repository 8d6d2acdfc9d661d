import { isSameOwner } from "./same-owner.ts";
import { isVdcError, type ObjectReference, type OperationContext, type Page, VdcError } from "@vdc-os/core";
import type { CreateSnapshot, Snapshot, SnapshotAttachment, SnapshotsFacet } from "@vdc-os/core/storage/v1";
import { assertNotCancelled } from "./assert-not-cancelled.ts";
import { childrenOf } from "./attachments.ts";
import { breakTracking } from "./break-tracking.ts";
import { withSnapshot } from "./layer-tree.ts";
import { listByName } from "./list-by-name.ts";
import type { FoundSnapshot } from "./snapshot-index.ts";
import { SnapshotReading } from "./snapshot-reading.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import { snapshotOf } from "./snapshot-view.ts";
import type { ThinPool } from "./thin-pool.ts";
import type { VolumeEntry } from "./volume-entry.ts";

/**
 * Facet `snapshots`, by layers: what a volume holds becomes a file that never changes, and the volume goes on as an overlay on it. Taking one costs the same whatever the
 * volume's size.
 */
export class Snapshots implements SnapshotsFacet {
  readonly #pool: ThinPool;
  readonly #reading: SnapshotReading;
  /** Calls under way, by name: a repeat waits for the first. */
  readonly #making = new Map<string, { readonly input: CreateSnapshot; readonly done: Promise<Snapshot> }>();

  constructor(pool: ThinPool) {
    this.#pool = pool;
    this.#reading = new SnapshotReading(pool);
  }

  async createSnapshot(input: CreateSnapshot, context: OperationContext): Promise<Snapshot> {
    assertNotCancelled(context);
    const { name, volumeId, owner } = input;
    for (let making = this.#making.get(name); making !== undefined; making = this.#making.get(name)) {
      if (making.input.volumeId !== volumeId || !isSameOwner(making.input.owner, owner)) throw nameTaken(name);
      try {
        return await making.done;
      } catch (error) {
        // Whoever began it may have given up, or been late; whoever joined has not.
        if (!isVdcError(error, "CANCELLED") && !isVdcError(error, "DEADLINE_EXCEEDED")) throw error;
        assertNotCancelled(context);
      }
    }
    const done = this.#create(input, context);
    this.#making.set(name, { input, done });
    try {
      return await done;
    } finally {
      this.#making.delete(name);
    }
  }

  async deleteSnapshot({ snapshotId }: { readonly snapshotId: string }, context: OperationContext): Promise<void> {
    assertNotCancelled(context);
    const pool = this.#pool;
    const found = pool.catalog.snapshots.find(snapshotId);
    if (found === undefined) return;
    const { entry } = found;
    await entry.change(["content"], "deleteSnapshot", async () => {
      await pool.layers.settle(entry, context);
      await markDeleted(pool, entry, snapshotId);
      await pool.removal.sweep(entry, context);
    });
  }

  async getSnapshot({ snapshotId }: { readonly snapshotId: string }, context: OperationContext): Promise<Snapshot> {
    return snapshotOf(this.#pool, this.#get(snapshotId), context);
  }

  async listSnapshots(
    input: Parameters<SnapshotsFacet["listSnapshots"]>[0],
    context: OperationContext,
  ): Promise<Page<Snapshot>> {
    const { snapshots } = this.#pool.catalog;
    const { volumeId, ownerDatacenter } = input;
    const page = listByName<FoundSnapshot>({
      ...input,
      poolId: this.#pool.poolId,
      names: input.name === undefined ? snapshots.names : [input.name],
      find: (name) => {
        const found = snapshots.findByName(name);
        if (found === undefined || found.pending) return undefined;
        if (volumeId !== undefined && found.entry.volumeId !== volumeId) return undefined;
        return ownerDatacenter === undefined || found.snapshot.owner?.datacenter === ownerDatacenter
          ? found
          : undefined;
      },
    });
    const items: Snapshot[] = [];
    for (const found of page.items) items.push(await snapshotOf(this.#pool, found, context));
    return { ...page, items };
  }

  attachSnapshot(
    input: { readonly snapshotId: string; readonly host: string },
    context: OperationContext,
  ): Promise<SnapshotAttachment> {
    assertNotCancelled(context);
    return this.#reading.attach(this.#get(input.snapshotId), input.host, context);
  }

  async detachSnapshot(
    { snapshotId, host }: { readonly snapshotId: string; readonly host: string },
    context: OperationContext,
  ): Promise<void> {
    const found = this.#pool.catalog.snapshots.find(snapshotId);
    if (found !== undefined) await this.#reading.detach(found, host, context);
  }

  async revertToSnapshot(
    { volumeId, snapshotId }: { readonly volumeId: string; readonly snapshotId: string },
    context: OperationContext,
  ): Promise<void> {
    assertNotCancelled(context);
    const pool = this.#pool;
    const { catalog, layout } = pool;
    const entry = catalog.get(volumeId);
    this.#getOf(entry, snapshotId);
    await entry.change(["content", "attachment"], "revert", async () => {
      await pool.layers.settle(entry, context);
      const snapshot = this.#getOf(entry, snapshotId);
      const blockers = blockersOf(pool, entry);
      const { name, capacityBytes, checkpoints = [] } = entry.record;
      if (blockers.length > 0) {
        throw new VdcError("FAILED_PRECONDITION", `volume '${name}' can't be reverted while it is in use`, {
          reason: "VDC_VOLUME_IN_USE",
          blockers,
        });
      }
      if (entry.pins > 0) {
        throw new VdcError("ABORTED", `an overlay of volume '${name}' is being made: try again`, {
          reason: "VDC_VOLUME_BUSY",
        });
      }
      pool.assertCanPromise(Math.max(0, snapshot.capacityBytes - capacityBytes));
      for (const { checkpoint } of checkpoints) breakTracking(layout.changes(volumeId, checkpoint));
      await catalog.update(entry, (record) => ({ ...record, pending: { kind: "revert", snapshotId } }));
      await pool.layers.finishRevert(entry, context);
      await pool.removal.sweep(entry, context);
    });
  }

  async revertBlockers(
    { volumeId, snapshotId }: { readonly volumeId: string; readonly snapshotId: string },
    _context: OperationContext,
  ): Promise<readonly ObjectReference[]> {
    const entry = this.#pool.catalog.get(volumeId);
    this.#getOf(entry, snapshotId);
    return blockersOf(this.#pool, entry);
  }

  async #create({ name, volumeId, owner }: CreateSnapshot, context: OperationContext): Promise<Snapshot> {
    const pool = this.#pool;
    const { catalog } = pool;
    const entry = catalog.get(volumeId);
    const present = catalog.snapshots.findByName(name);
    if (present !== undefined) {
      const same = present.entry === entry && isSameOwner(present.snapshot.owner, owner);
      if (!same || present.snapshot.group !== undefined) throw nameTaken(name);
      if (!present.pending) return snapshotOf(pool, present, context);
    }
    return entry.change(["content"], "createSnapshot", async () => {
      await pool.layers.settle(entry, context);
      const settled = catalog.snapshots.findByName(name);
      if (settled !== undefined) return snapshotOf(pool, settled, context);
      pool.layers.assertCanTake(entry);
      pool.assertCanPromise(0);
      const snapshot: SnapshotRecord = {
        snapshotId: pool.random.uuid(),
        name,
        createdAt: pool.clock.now(),
        capacityBytes: entry.record.capacityBytes,
        owner,
      };
      await pool.layers.take(entry, snapshot, context);
      return snapshotOf(pool, { entry, snapshot }, context);
    });
  }

  #get(snapshotId: string): FoundSnapshot {
    const found = this.#pool.catalog.snapshots.find(snapshotId);
    if (found !== undefined) return found;
    throw new VdcError("NOT_FOUND", `there is no snapshot '${snapshotId}' in this pool`, {
      reason: "VDC_NO_SUCH_SNAPSHOT",
    });
  }

  #getOf(entry: VolumeEntry, snapshotId: string): SnapshotRecord {
    const found = this.#get(snapshotId);
    if (found.entry === entry) return found.snapshot;
    throw new VdcError("NOT_FOUND", `snapshot '${snapshotId}' is not one of volume '${entry.record.name}'`, {
      reason: "VDC_NO_SUCH_SNAPSHOT",
    });
  }
}

/** Makes a snapshot one that nobody sees. Throws `FAILED_PRECONDITION` and names what reads it. The caller holds the volume's content. */
export async function markDeleted(pool: ThinPool, entry: VolumeEntry, snapshotId: string): Promise<void> {
  assertDeletable(pool, entry, snapshotId);
  await pool.catalog.update(entry, (record) => {
    // A reader may have come since.
    assertDeletable(pool, entry, snapshotId);
    return withSnapshot(record, snapshotId, (snapshot) => ({ ...snapshot, deleted: true }));
  });
}

/** Throws what keeps a snapshot from being deleted. */
export function assertDeletable(pool: ThinPool, entry: VolumeEntry, snapshotId: string): void {
  const snapshot = entry.record.snapshots?.find((candidate) => candidate.snapshotId === snapshotId);
  const children = entry.childrenOf(snapshotId);
  const readers = snapshot?.readers ?? [];
  const blockers = [
    ...[...children]
      .slice(0, 20)
      .map((volumeId) => ({ kind: "volume", name: pool.catalog.find(volumeId)?.record.name ?? volumeId })),
    ...readers.map(({ host }) => ({ kind: "host", name: host })),
  ];
  if (blockers.length > 0) {
    const why = children.size > 0 ? `${children.size} overlays read from it` : "it is being read";
    throw new VdcError("FAILED_PRECONDITION", `snapshot '${snapshot?.name}' can't be deleted: ${why}`, {
      reason: "VDC_SNAPSHOT_IN_USE",
      blockers,
    });
  }
  if (entry.snapshotPins.includes(snapshotId)) {
    throw new VdcError("ABORTED", `an overlay of snapshot '${snapshot?.name}' is being made: try again`, {
      reason: "VDC_VOLUME_BUSY",
    });
  }
}

function blockersOf(pool: ThinPool, entry: VolumeEntry): readonly ObjectReference[] {
  const { attachment } = entry.record;
  const hosts = attachment === undefined ? [] : [{ kind: "host", name: attachment.host }];
  return [...hosts, ...childrenOf(entry, pool.catalog)];
}

function nameTaken(name: string): VdcError {
  return new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by a snapshot of something else`, {
    reason: "VDC_SNAPSHOT_EXISTS",
  });
}
