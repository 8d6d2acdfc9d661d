import { isVdcError, type OperationContext, toVdcError, VdcError } from "@vdc-os/core";
import type { GroupSnapshot, GroupSnapshotsFacet } from "@vdc-os/core/storage/v1";
import { inCallersWords, toldToCaller } from "./callers-words.ts";
import type { CloneEngine } from "./clone-engine.ts";
import { ownerKey } from "./clone-record.ts";
import { newBaseName } from "./clone-services.ts";
import { deleteRecord, putRecord } from "./record-store.ts";
import type { GroupNameRecord, GroupRecord, SnapshotRecord } from "./snapshot-record.ts";
import { snapshotView } from "./snapshots.ts";
import { snapshotLock } from "./volume-locks.ts";

/** Codes of a create that has certainly made nothing. After others it may have: it is finished by a repeat. */
const refusals = [
  "NOT_FOUND",
  "FAILED_PRECONDITION",
  "RESOURCE_EXHAUSTED",
  "UNIMPLEMENTED",
  "ALREADY_EXISTS",
  "ABORTED",
] as const;

/** Facet `groupSnapshots`: those of the provider underneath. Their members are snapshots as any other, and can be cloned. */
export class GroupSnapshots implements GroupSnapshotsFacet {
  readonly #engine: CloneEngine;
  readonly #making = new Set<string>();

  constructor(engine: CloneEngine) {
    this.#engine = engine;
  }

  async createGroupSnapshot(
    { name, volumeIds, owner }: Parameters<GroupSnapshotsFacet["createGroupSnapshot"]>[0],
    context: OperationContext,
  ): Promise<GroupSnapshot> {
    const { catalog, snapshots, records, random } = this.#engine.services;
    const ids = [...new Set(volumeIds)].sort();
    const present = (await snapshots.groupName(name, context))?.value;
    if (present !== undefined) {
      if (present.volumeIds.join() !== ids.join() || ownerKey(present.owner) !== ownerKey(owner)) {
        throw new VdcError("ALREADY_EXISTS", `the name '${name}' is taken by another group snapshot`, {
          reason: "VDC_GROUP_SNAPSHOT_EXISTS",
        });
      }
      if (present.groupSnapshotId !== undefined) {
        return this.getGroupSnapshot({ groupSnapshotId: present.groupSnapshotId }, context);
      }
    }
    if (this.#making.has(name)) {
      throw new VdcError("ABORTED", `group snapshot '${name}' is being taken: try again`, { reason: "VDC_GROUP_BUSY" });
    }
    this.#making.add(name);
    try {
      for (const volumeId of ids) await catalog.get(volumeId, context);
      if (present === undefined) {
        if (context.signal.aborted) throw toVdcError(context.signal.reason);
        const key = snapshots.groupNameKey(name);
        await records.commit(
          [{ key, revision: 0 }],
          [
            putRecord(key, { baseName: newBaseName(name, random), volumeIds: ids, owner }),
            putRecord(catalog.pendingKey(`group ${name}`), { kind: "createGroup", name }),
          ],
          context,
        );
      }
      await this.#take(name);
    } finally {
      this.#making.delete(name);
    }
    const made = (await snapshots.groupName(name, context))?.value.groupSnapshotId;
    return this.getGroupSnapshot({ groupSnapshotId: made ?? name }, context);
  }

  async getGroupSnapshot(
    { groupSnapshotId }: { readonly groupSnapshotId: string },
    context: OperationContext,
  ): Promise<GroupSnapshot> {
    const { base, snapshots } = this.#engine.services;
    const group = await snapshots.group(groupSnapshotId, context);
    if (group === undefined) {
      throw new VdcError("NOT_FOUND", `there is no group snapshot '${groupSnapshotId}'`, {
        reason: "VDC_NO_SUCH_GROUP_SNAPSHOT",
      });
    }
    const seen = await (await base.facet("groupSnapshots", context)).getGroupSnapshot({ groupSnapshotId }, context);
    const members = [];
    for (const snapshot of seen.snapshots) {
      const record = (await snapshots.find(snapshot.snapshotId, context))?.value;
      if (record !== undefined && !record.kept) members.push(snapshotView(record, snapshot));
    }
    return { groupSnapshotId, name: group.name, createdAt: seen.createdAt, snapshots: members };
  }

  async deleteGroupSnapshot(
    { groupSnapshotId }: { readonly groupSnapshotId: string },
    context: OperationContext,
  ): Promise<void> {
    const { catalog, snapshots, records, locks } = this.#engine.services;
    const group = await snapshots.group(groupSnapshotId, context);
    if (group === undefined) return;
    await locks.aloneWithAll(group.snapshotIds.map(snapshotLock), "delete", async () => {
      for (const snapshotId of group.snapshotIds) {
        const clones = await catalog.children({ snapshotId }, context);
        if (clones.length === 0) continue;
        const names = [];
        for (const volumeId of clones.slice(0, 20)) names.push((await catalog.find(volumeId, context))?.value.name);
        throw new VdcError("FAILED_PRECONDITION", `${clones.length} clones read from group snapshot '${group.name}'`, {
          reason: "VDC_SNAPSHOT_IN_USE",
          blockers: names.map((name = "") => ({ kind: "volume", name })),
        });
      }
      const pending = putRecord(catalog.pendingKey(`group ${group.name}`), { kind: "deleteGroup", groupSnapshotId });
      await records.commit([], [pending], context);
      await toldToCaller(this.finishDelete(groupSnapshotId));
    });
  }

  /** Finishes a group snapshot that a kill cut short. */
  async finish(name: string): Promise<void> {
    try {
      await this.#take(name);
    } catch (error) {
      // It was refused, and nobody waits for it any more.
      if (!refusals.some((code) => isVdcError(error, code))) throw error;
    }
  }

  /** Finishes a delete that was begun, or gives it up where it is refused. */
  async finishDelete(groupSnapshotId: string): Promise<void> {
    const { base, catalog, snapshots, records, operation } = this.#engine.services;
    const context = operation();
    const group = await snapshots.group(groupSnapshotId, context);
    if (group === undefined) return;
    const pending = deleteRecord(catalog.pendingKey(`group ${group.name}`));
    try {
      await (await base.facet("groupSnapshots", context)).deleteGroupSnapshot({ groupSnapshotId }, context);
    } catch (error) {
      await records.commit([], [pending], context);
      throw error;
    }
    const members: SnapshotRecord[] = [];
    for (const snapshotId of group.snapshotIds) {
      const record = (await snapshots.find(snapshotId, context))?.value;
      if (record !== undefined) members.push(record);
    }
    await records.commit(
      [],
      [
        pending,
        deleteRecord(snapshots.groupKey(groupSnapshotId)),
        deleteRecord(snapshots.groupNameKey(group.name)),
        ...members.flatMap((record) => snapshots.forget(record)),
      ],
      context,
    );
  }

  /** Takes what is reserved under a name, and records it. A repeat underneath returns what a call before has made. */
  async #take(name: string): Promise<void> {
    const { base, catalog, snapshots, records, random, locks, operation } = this.#engine.services;
    const context = operation();
    const pending = deleteRecord(catalog.pendingKey(`group ${name}`));
    const nameKey = snapshots.groupNameKey(name);
    const reserved: GroupNameRecord | undefined = (await snapshots.groupName(name, context))?.value;
    if (reserved === undefined || reserved.groupSnapshotId !== undefined) return records.commit([], [pending], context);
    const { baseName, volumeIds, owner } = reserved;
    const facet = await base.facet("groupSnapshots", context);
    const take = async (): Promise<void> => {
      const made = await facet.createGroupSnapshot({ name: baseName, volumeIds }, context);
      const { groupSnapshotId } = made;
      const group: GroupRecord = {
        groupSnapshotId,
        name,
        snapshotIds: made.snapshots.map(({ snapshotId }) => snapshotId),
      };
      const entered = [];
      for (const { snapshotId, name: memberName, volumeId } of made.snapshots) {
        const taken = (await snapshots.name(memberName, context)) !== undefined;
        const shown = taken ? newBaseName(memberName, random) : memberName;
        const record: SnapshotRecord = {
          snapshotId,
          name: shown,
          baseName: memberName,
          volumeId,
          owner,
          groupSnapshotId,
        };
        entered.push(
          ...snapshots.put(record),
          putRecord(snapshots.nameKey(shown), { baseName: memberName, volumeId, owner, snapshotId }),
        );
      }
      await records.commit(
        [],
        [
          putRecord(nameKey, { ...reserved, groupSnapshotId }),
          putRecord(snapshots.groupKey(groupSnapshotId), group),
          ...entered,
          pending,
        ],
        context,
      );
    };
    const pinned = volumeIds.reduceRight<() => Promise<void>>(
      (run, volumeId) => () => locks.pinned(volumeId, run),
      take,
    );
    try {
      await pinned();
    } catch (error) {
      if (refusals.some((code) => isVdcError(error, code))) {
        await records.commit([], [pending, deleteRecord(nameKey)], context);
      }
      throw inCallersWords(error);
    }
  }
}
