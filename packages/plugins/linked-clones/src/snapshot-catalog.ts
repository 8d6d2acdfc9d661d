import { type OperationContext, VdcError } from "@vdc-os/core";
import type { StateOperation } from "@vdc-os/core/state/v1";
import { mark } from "./clone-catalog.ts";
import { deleteRecord, putRecord, type RecordStore, type Stored } from "./record-store.ts";
import {
  type GroupNameRecord,
  type GroupRecord,
  groupNameRecord,
  groupRecord,
  type SnapshotNameRecord,
  type SnapshotOfVolume,
  type SnapshotRecord,
  snapshotNameRecord,
  snapshotOfVolume,
  snapshotRecord,
} from "./snapshot-record.ts";

/**
 * The snapshots that the provider knows, in the state store:
 *
 * | key | value |
 * | --- | --- |
 * | `snapshot-names/<name>` | the snapshot of that name, or the one that is being taken |
 * | `snapshots/<id>` | a snapshot |
 * | `snapshots-of/<volume id>/<id>` | the same, by volume: its name, and whether it is kept for clones alone |
 * | `kept-snapshots/<id>` | a snapshot that is nobody's, and is kept for its clones |
 * | `snapshot-readers/<id>/<host>` | a host that reads it |
 * | `group-names/<name>`, `groups/<id>` | group snapshots |
 */
export class SnapshotCatalog {
  readonly records: RecordStore;

  constructor(records: RecordStore) {
    this.records = records;
  }

  nameKey(name: string): string {
    return this.records.key("snapshot-names", name);
  }

  snapshotKey(snapshotId: string): string {
    return this.records.key("snapshots", snapshotId);
  }

  readerKey(snapshotId: string, host: string): string {
    return this.records.key("snapshot-readers", snapshotId, host);
  }

  groupNameKey(name: string): string {
    return this.records.key("group-names", name);
  }

  groupKey(groupSnapshotId: string): string {
    return this.records.key("groups", groupSnapshotId);
  }

  /** Enters a snapshot, or one that has become kept. */
  put(record: SnapshotRecord): readonly StateOperation[] {
    const { snapshotId, volumeId, name, kept } = record;
    return [
      putRecord(this.snapshotKey(snapshotId), record),
      putRecord(this.records.key("snapshots-of", volumeId, snapshotId), { name, kept }),
      ...(kept ? [putRecord(this.records.key("kept-snapshots", snapshotId), {})] : []),
    ];
  }

  /** Forgets a snapshot, and its name unless it is free already. */
  forget({ snapshotId, volumeId, name, kept }: SnapshotRecord): readonly StateOperation[] {
    return [
      deleteRecord(this.snapshotKey(snapshotId)),
      deleteRecord(this.records.key("snapshots-of", volumeId, snapshotId)),
      deleteRecord(kept ? this.records.key("kept-snapshots", snapshotId) : this.nameKey(name)),
    ];
  }

  async name(name: string, context: OperationContext): Promise<Stored<SnapshotNameRecord> | undefined> {
    return this.records.get(this.nameKey(name), snapshotNameRecord, context);
  }

  async find(snapshotId: string, context: OperationContext): Promise<Stored<SnapshotRecord> | undefined> {
    return this.records.get(this.snapshotKey(snapshotId), snapshotRecord, context);
  }

  /** A snapshot that is somebody's. Throws `NOT_FOUND`. */
  async get(snapshotId: string, context: OperationContext): Promise<Stored<SnapshotRecord>> {
    const found = await this.find(snapshotId, context);
    if (found !== undefined && found.value.kept !== true) return found;
    throw new VdcError("NOT_FOUND", `there is no snapshot '${snapshotId}'`, { reason: "VDC_NO_SUCH_SNAPSHOT" });
  }

  /** The snapshots of a volume, with those that are kept for clones alone. */
  async ofVolume(
    volumeId: string,
    context: OperationContext,
  ): Promise<readonly (SnapshotOfVolume & { readonly snapshotId: string })[]> {
    const found: (SnapshotOfVolume & { readonly snapshotId: string })[] = [];
    for await (const { id, value } of this.records.all(["snapshots-of", volumeId], snapshotOfVolume, context)) {
      found.push({ snapshotId: id, ...value });
    }
    return found;
  }

  async kept(context: OperationContext): Promise<readonly string[]> {
    return this.#ids(["kept-snapshots"], context);
  }

  async readers(snapshotId: string, context: OperationContext): Promise<readonly string[]> {
    return this.#ids(["snapshot-readers", snapshotId], context);
  }

  async page(
    input: { readonly limit: number; readonly pageToken?: string | undefined },
    context: OperationContext,
  ): Promise<{ readonly values: readonly SnapshotNameRecord[]; readonly nextPageToken?: string }> {
    return this.records.page(["snapshot-names"], snapshotNameRecord, input, context);
  }

  async groupName(name: string, context: OperationContext): Promise<Stored<GroupNameRecord> | undefined> {
    return this.records.get(this.groupNameKey(name), groupNameRecord, context);
  }

  async group(groupSnapshotId: string, context: OperationContext): Promise<GroupRecord | undefined> {
    return (await this.records.get(this.groupKey(groupSnapshotId), groupRecord, context))?.value;
  }

  async #ids(path: readonly string[], context: OperationContext): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const { id } of this.records.all(path, mark, context)) ids.push(id);
    return ids;
  }
}
