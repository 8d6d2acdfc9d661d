import {
  type ObjectReference,
  type OperationContext,
  type OwnerStamp,
  type Page,
  toVdcError,
  VdcError,
} from "@vdc-os/core";
import type { CreateSnapshot, Snapshot, SnapshotAttachment, SnapshotsFacet } from "@vdc-os/core/storage/v1";
import { inCallersWords, toldToCaller } from "./callers-words.ts";
import type { CloneEngine } from "./clone-engine.ts";
import { ownerKey } from "./clone-record.ts";
import { newBaseName } from "./clone-services.ts";
import { deleteRecord, putRecord } from "./record-store.ts";
import type { SnapshotNameRecord, SnapshotRecord } from "./snapshot-record.ts";
import { snapshotLock } from "./volume-locks.ts";

type Revert = { readonly volumeId: string; readonly snapshotId: string };

/**
 * Facet `snapshots`: those of the provider underneath, under names of their own. One that is deleted while clones read it frees its name, and is
 * kept for them, unseen.
 */
export class Snapshots implements SnapshotsFacet {
  readonly #engine: CloneEngine;
  /** Calls under way, by name: a repeat waits for the first. */
  readonly #making = new Map<string, { readonly input: CreateSnapshot; readonly done: Promise<SnapshotRecord> }>();

  constructor(engine: CloneEngine) {
    this.#engine = engine;
  }

  async createSnapshot(input: CreateSnapshot, context: OperationContext): Promise<Snapshot> {
    const { name } = input;
    for (let making = this.#making.get(name); making !== undefined; making = this.#making.get(name)) {
      assertSame(name, making.input, input);
      const made = await making.done.catch(() => undefined);
      if (made !== undefined) return this.#view(made, context);
    }
    const done = this.#create(input, context);
    this.#making.set(name, { input, done });
    try {
      return await this.#view(await done, context);
    } finally {
      this.#making.delete(name);
    }
  }

  async deleteSnapshot({ snapshotId }: { readonly snapshotId: string }, context: OperationContext): Promise<void> {
    const { catalog, snapshots, records, locks } = this.#engine.services;
    const seen = await snapshots.find(snapshotId, context);
    if (seen === undefined || seen.value.kept) return;
    await locks.alone(snapshotLock(snapshotId), "delete", async () => {
      const found = await snapshots.find(snapshotId, context);
      if (found === undefined || found.value.kept) return;
      const { value: record, revision } = found;
      if ((await catalog.countChildren({ snapshotId }, 1, context)) === 0) {
        return toldToCaller(this.#engine.collector.removeSnapshot(record, context));
      }
      const readers = await snapshots.readers(snapshotId, context);
      if (readers.length > 0) {
        throw new VdcError("FAILED_PRECONDITION", `snapshot '${record.name}' is being read`, {
          reason: "VDC_SNAPSHOT_IN_USE",
          blockers: readers.map((host) => ({ kind: "host", name: host })),
        });
      }
      await records.commit(
        [{ key: snapshots.snapshotKey(snapshotId), revision }],
        [...snapshots.put({ ...record, kept: true }), deleteRecord(snapshots.nameKey(record.name))],
        context,
      );
    });
    // Its last clone may have gone meanwhile.
    await this.#engine.collector.collect({ parentVolumeId: seen.value.volumeId, parentSnapshotId: snapshotId });
  }

  async getSnapshot({ snapshotId }: { readonly snapshotId: string }, context: OperationContext): Promise<Snapshot> {
    return this.#view((await this.#engine.services.snapshots.get(snapshotId, context)).value, context);
  }

  async listSnapshots(
    input: Parameters<SnapshotsFacet["listSnapshots"]>[0],
    context: OperationContext,
  ): Promise<Page<Snapshot>> {
    const { snapshots } = this.#engine.services;
    const { limit = 500, pageToken, name, volumeId, ownerDatacenter } = input;
    const page =
      name === undefined
        ? await snapshots.page({ limit, pageToken }, context)
        : { values: [(await snapshots.name(name, context))?.value] };
    const items: Snapshot[] = [];
    for (const found of page.values) {
      if (found?.snapshotId === undefined) continue;
      if (volumeId !== undefined && found.volumeId !== volumeId) continue;
      if (ownerDatacenter !== undefined && found.owner?.datacenter !== ownerDatacenter) continue;
      const record = (await snapshots.find(found.snapshotId, context))?.value;
      // Deleted since the page was read.
      if (record === undefined || record.kept) continue;
      items.push(await this.#view(record, context));
    }
    return "nextPageToken" in page && page.nextPageToken !== undefined
      ? { items, nextPageToken: page.nextPageToken }
      : { items };
  }

  async attachSnapshot(
    input: { readonly snapshotId: string; readonly host: string },
    context: OperationContext,
  ): Promise<SnapshotAttachment> {
    const { snapshots, records, locks, base, operation } = this.#engine.services;
    const { snapshotId, host } = input;
    return locks.pinned(snapshotLock(snapshotId), async () => {
      await snapshots.get(snapshotId, context);
      const known = (await snapshots.readers(snapshotId, context)).includes(host);
      const key = snapshots.readerKey(snapshotId, host);
      if (!known) await records.commit([], [putRecord(key, {})], context);
      try {
        return await (await base.facet("snapshots", context)).attachSnapshot(input, context);
      } catch (error) {
        // One that is read by two calls at once is read all the same: `detachSnapshot` ends it.
        if (!known) await records.commit([], [deleteRecord(key)], operation());
        throw inCallersWords(error);
      }
    });
  }

  async detachSnapshot(
    input: { readonly snapshotId: string; readonly host: string },
    context: OperationContext,
  ): Promise<void> {
    const { snapshots, records, base } = this.#engine.services;
    await (await base.facet("snapshots", context)).detachSnapshot(input, context);
    await records.commit([], [deleteRecord(snapshots.readerKey(input.snapshotId, input.host))], context);
  }

  async revertToSnapshot(input: Revert, context: OperationContext): Promise<void> {
    const { base, locks } = this.#engine.services;
    const facet = await base.facet("snapshots", context);
    await locks.pinned(snapshotLock(input.snapshotId), async () => {
      await this.#mustBeOf(input, context);
      const revert = (): Promise<void> => toldToCaller(facet.revertToSnapshot(input, context));
      await this.#engine.parentMayGo(input.volumeId, "revert", revert, context);
    });
  }

  async revertBlockers(input: Revert, context: OperationContext): Promise<readonly ObjectReference[]> {
    await this.#mustBeOf(input, context);
    const facet = await this.#engine.services.base.facet("snapshots", context);
    const told = await facet.revertBlockers(input, context);
    return told.map(({ kind, name }) => ({ kind, name: name.replace(/\.[0-9a-f]{12}$/, "") }));
  }

  async #create(input: CreateSnapshot, context: OperationContext): Promise<SnapshotRecord> {
    const { base, catalog, snapshots, records, locks, random, operation } = this.#engine.services;
    const { name, volumeId, owner } = input;
    const reserved = (await snapshots.name(name, context))?.value;
    if (reserved !== undefined) {
      assertSame(name, reserved, input);
      const { snapshotId } = reserved;
      if (snapshotId !== undefined) return (await snapshots.get(snapshotId, context)).value;
      // Begun by a call that failed and could not undo it.
      await this.#engine.moments.undo(reserved.baseName, name);
    }
    const volume = await catalog.get(volumeId, context);
    const facet = await base.facet("snapshots", context);
    return locks.pinned(volumeId, async () => {
      const baseName = newBaseName(name, random);
      const pending = catalog.pendingKey(baseName);
      const nameKey = snapshots.nameKey(name);
      if (context.signal.aborted) throw toVdcError(context.signal.reason);
      await records.commit(
        [
          { key: nameKey, revision: 0 },
          { key: catalog.volumeKey(volumeId), revision: volume.revision },
        ],
        [
          putRecord(nameKey, { baseName, volumeId, owner }),
          putRecord(pending, { kind: "createSnapshot", baseName, name }),
        ],
        context,
      );
      try {
        // The stamp stays here, as those of volumes do.
        const { snapshotId } = await facet.createSnapshot({ name: baseName, volumeId }, operation());
        const record: SnapshotRecord = { snapshotId, name, baseName, volumeId, owner };
        await records.commit(
          [],
          [
            putRecord(nameKey, { baseName, volumeId, owner, snapshotId }),
            ...snapshots.put(record),
            deleteRecord(pending),
          ],
          operation(),
        );
        return record;
      } catch (error) {
        await this.#engine.moments.undoSoon(baseName, name);
        throw inCallersWords(error);
      }
    });
  }

  async #mustBeOf({ volumeId, snapshotId }: Revert, context: OperationContext): Promise<void> {
    const { catalog, snapshots } = this.#engine.services;
    await catalog.get(volumeId, context);
    if ((await snapshots.get(snapshotId, context)).value.volumeId === volumeId) return;
    throw new VdcError("NOT_FOUND", `snapshot '${snapshotId}' is not one of volume '${volumeId}'`, {
      reason: "VDC_NO_SUCH_SNAPSHOT",
    });
  }

  async #view(record: SnapshotRecord, context: OperationContext): Promise<Snapshot> {
    const facet = await this.#engine.services.base.facet("snapshots", context);
    return snapshotView(record, await facet.getSnapshot({ snapshotId: record.snapshotId }, context));
  }
}

/** A snapshot as callers see it: under their name, with their stamp. */
export function snapshotView({ name, owner }: SnapshotRecord, snapshot: Snapshot): Snapshot {
  const { owner: _, ...seen } = snapshot;
  return { ...seen, name, ...(owner === undefined ? {} : { owner }) };
}

function assertSame(
  name: string,
  present: Pick<SnapshotNameRecord, "volumeId"> & { readonly owner?: OwnerStamp | undefined },
  asked: CreateSnapshot,
): void {
  if (present.volumeId === asked.volumeId && ownerKey(present.owner) === ownerKey(asked.owner)) return;
  throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by a snapshot of another volume or owner`, {
    reason: "VDC_SNAPSHOT_EXISTS",
  });
}
