import { type OperationContext, VdcError } from "@vdc-os/core";
import type { StateOperation } from "@vdc-os/core/state/v1";
import { z } from "zod";
import {
  type CloneRecord,
  cloneRecord,
  type NameRecord,
  nameRecord,
  type ParentLink,
  type PendingRecord,
  pendingRecord,
} from "./clone-record.ts";
import { deleteRecord, putRecord, type RecordStore, type Stored } from "./record-store.ts";

/** A record that is there, and says no more than that. */
export const mark: z.ZodType<Record<string, never>> = z.object({}) as z.ZodType<Record<string, never>>;

/**
 * The volumes that the provider knows, in the state store:
 *
 * | key | value |
 * | --- | --- |
 * | `names/<name>` | the volume of that name, or the one that is being made |
 * | `volumes/<id>` | a volume |
 * | `children/<volume id>/<id>` | a link: one key for each, so that a clone costs the same however many there are |
 * | `snapshot-children/<snapshot id>/<id>` | a link to a volume that reads from a snapshot |
 * | `tombstones/<id>` | a volume that was deleted, and has children |
 * | `deep/<id>` | a volume that is to be flattened, because many are below it |
 * | `tickets/<prefix>` | ends of names underneath: a volume with one that is not recorded is what a kill left |
 * | `pending/<key>` | something begun: what the next start finishes or undoes |
 */
export class CloneCatalog {
  readonly records: RecordStore;

  constructor(records: RecordStore) {
    this.records = records;
  }

  nameKey(name: string): string {
    return this.records.key("names", name);
  }

  volumeKey(volumeId: string): string {
    return this.records.key("volumes", volumeId);
  }

  tombstoneKey(volumeId: string): string {
    return this.records.key("tombstones", volumeId);
  }

  deepKey(volumeId: string): string {
    return this.records.key("deep", volumeId);
  }

  ticketsKey(prefix: string): string {
    return this.records.key("tickets", prefix);
  }

  pendingKey(id: string): string {
    return this.records.key("pending", id);
  }

  /** Enters that a volume reads from another, or from a snapshot of it. */
  link(volumeId: string, parent: ParentLink): readonly StateOperation[] {
    const key = this.#linkKey(volumeId, parent);
    return key === undefined ? [] : [putRecord(key, {})];
  }

  unlink(volumeId: string, parent: ParentLink): readonly StateOperation[] {
    const key = this.#linkKey(volumeId, parent);
    return key === undefined ? [] : [deleteRecord(key)];
  }

  async name(name: string, context: OperationContext): Promise<Stored<NameRecord> | undefined> {
    return this.records.get(this.nameKey(name), nameRecord, context);
  }

  async find(volumeId: string, context: OperationContext): Promise<Stored<CloneRecord> | undefined> {
    return this.records.get(this.volumeKey(volumeId), cloneRecord, context);
  }

  /** A volume that its owner has not deleted. Throws `NOT_FOUND`. */
  async get(volumeId: string, context: OperationContext): Promise<Stored<CloneRecord>> {
    const found = await this.find(volumeId, context);
    if (found !== undefined && found.value.tombstoned !== true) return found;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`, { reason: "VDC_NO_SUCH_VOLUME" });
  }

  /** How many read from a volume itself, or from a snapshot, counted up to a limit. */
  async countChildren(
    of: { readonly volumeId: string } | { readonly snapshotId: string },
    limit: number,
    context: OperationContext,
  ): Promise<number> {
    return this.records.count(childrenPath(of), limit, context);
  }

  /** Ids of the volumes that read from a volume itself, or from a snapshot. */
  async children(
    of: { readonly volumeId: string } | { readonly snapshotId: string },
    context: OperationContext,
  ): Promise<readonly string[]> {
    return this.#ids(childrenPath(of), context);
  }

  async volumes(context: OperationContext): Promise<readonly CloneRecord[]> {
    const found: CloneRecord[] = [];
    for await (const { value } of this.records.all(["volumes"], cloneRecord, context)) found.push(value);
    return found;
  }

  async pending(
    context: OperationContext,
  ): Promise<readonly { readonly key: string; readonly value: PendingRecord }[]> {
    const found: { readonly key: string; readonly value: PendingRecord }[] = [];
    for await (const { key, value } of this.records.all(["pending"], pendingRecord, context))
      found.push({ key, value });
    return found;
  }

  tombstones(context: OperationContext): Promise<readonly string[]> {
    return this.#ids(["tombstones"], context);
  }

  tickets(context: OperationContext): Promise<readonly string[]> {
    return this.#ids(["tickets"], context);
  }

  deep(context: OperationContext): Promise<readonly string[]> {
    return this.#ids(["deep"], context);
  }

  /** A page of names, in order. */
  async page(
    input: { readonly limit: number; readonly pageToken?: string | undefined },
    context: OperationContext,
  ): Promise<{ readonly values: readonly NameRecord[]; readonly nextPageToken?: string }> {
    return this.records.page(["names"], nameRecord, input, context);
  }

  async #ids(path: readonly string[], context: OperationContext): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const { id } of this.records.all(path, mark, context)) ids.push(id);
    return ids;
  }

  #linkKey(volumeId: string, { parentVolumeId, parentSnapshotId }: ParentLink): string | undefined {
    if (parentSnapshotId !== undefined) return this.records.key("snapshot-children", parentSnapshotId, volumeId);
    return parentVolumeId === undefined ? undefined : this.records.key("children", parentVolumeId, volumeId);
  }
}

function childrenPath(of: { readonly volumeId: string } | { readonly snapshotId: string }): readonly string[] {
  return "volumeId" in of ? ["children", of.volumeId] : ["snapshot-children", of.snapshotId];
}
