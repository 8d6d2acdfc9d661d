import { type Handle, type Json, type OperationContext, VdcError } from "@vdc-os/core";
import type { KeyValue, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import type { z } from "zod";
import {
  type CloneRecord,
  cloneRecord,
  type NameRecord,
  nameRecord,
  type PendingRecord,
  pendingRecord,
} from "./clone-record.ts";

/** A record, and the revision at which it was read: what a change of it is conditional on. */
export interface Stored<T> {
  readonly value: T;
  readonly revision: number;
}

/** A condition: the key is as it was read, or (0) absent. */
export interface Condition {
  readonly key: string;
  readonly revision: number;
}

/**
 * What the provider knows, in the state store under `linked-clones/<name>/`:
 *
 * | key | value |
 * | --- | --- |
 * | `names/<name>` | the volume of that name, or the one that is being made |
 * | `volumes/<id>` | a volume |
 * | `children/<parent id>/<id>` | a link: one key for each, so that a clone costs the same however many there are |
 * | `tombstones/<id>` | a volume that was deleted, and has children |
 * | `pending/<key>` | something begun: what the next start finishes or undoes |
 */
export class CloneCatalog {
  readonly #store: Handle<StateStore>;
  readonly #prefix: string;

  constructor(store: Handle<StateStore>, name: string) {
    this.#store = store;
    this.#prefix = `linked-clones/${name}/`;
  }

  nameKey(name: string): string {
    return `${this.#prefix}names/${name}`;
  }

  volumeKey(volumeId: string): string {
    return `${this.#prefix}volumes/${volumeId}`;
  }

  childKey(parentVolumeId: string, volumeId: string): string {
    return `${this.#prefix}children/${parentVolumeId}/${volumeId}`;
  }

  tombstoneKey(volumeId: string): string {
    return `${this.#prefix}tombstones/${volumeId}`;
  }

  pendingKey(id: string): string {
    return `${this.#prefix}pending/${id}`;
  }

  async name(name: string, context: OperationContext): Promise<Stored<NameRecord> | undefined> {
    return this.#get(this.nameKey(name), nameRecord, context);
  }

  async find(volumeId: string, context: OperationContext): Promise<Stored<CloneRecord> | undefined> {
    return this.#get(this.volumeKey(volumeId), cloneRecord, context);
  }

  /** A volume that its owner has not deleted. Throws `NOT_FOUND`. */
  async get(volumeId: string, context: OperationContext): Promise<Stored<CloneRecord>> {
    const found = await this.find(volumeId, context);
    if (found !== undefined && found.value.tombstoned !== true) return found;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`, { reason: "VDC_NO_SUCH_VOLUME" });
  }

  async hasChildren(volumeId: string, context: OperationContext): Promise<boolean> {
    const prefix = `${this.#prefix}children/${volumeId}/`;
    return (await this.#store.list({ prefix, limit: 1 }, context)).entries.length > 0;
  }

  async children(volumeId: string, context: OperationContext): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const { key } of this.#all(`${this.#prefix}children/${volumeId}/`, context)) {
      ids.push(key.slice(key.lastIndexOf("/") + 1));
    }
    return ids;
  }

  /** All links at once, parent by child: for the whole tree. */
  async links(context: OperationContext): Promise<ReadonlyMap<string, readonly string[]>> {
    const links = new Map<string, string[]>();
    for await (const { key } of this.#all(`${this.#prefix}children/`, context)) {
      const [child = "", parent = ""] = key.split("/").reverse();
      const children = links.get(parent);
      if (children === undefined) links.set(parent, [child]);
      else children.push(child);
    }
    return links;
  }

  async volumes(context: OperationContext): Promise<readonly CloneRecord[]> {
    const records: CloneRecord[] = [];
    for await (const entry of this.#all(`${this.#prefix}volumes/`, context)) records.push(parse(entry, cloneRecord));
    return records;
  }

  async pending(
    context: OperationContext,
  ): Promise<readonly { readonly key: string; readonly value: PendingRecord }[]> {
    const found: { readonly key: string; readonly value: PendingRecord }[] = [];
    for await (const entry of this.#all(`${this.#prefix}pending/`, context)) {
      found.push({ key: entry.key, value: parse(entry, pendingRecord) });
    }
    return found;
  }

  async tombstones(context: OperationContext): Promise<readonly string[]> {
    const ids: string[] = [];
    for await (const { key } of this.#all(`${this.#prefix}tombstones/`, context)) {
      ids.push(key.slice(key.lastIndexOf("/") + 1));
    }
    return ids;
  }

  /** A page of names, in order. The token is the store's. */
  async page(
    input: { readonly limit: number; readonly pageToken?: string | undefined },
    context: OperationContext,
  ): Promise<{ readonly names: readonly NameRecord[]; readonly nextPageToken?: string }> {
    const page = await this.#store.list(
      {
        prefix: `${this.#prefix}names/`,
        limit: input.limit,
        ...(input.pageToken === undefined ? {} : { pageToken: input.pageToken }),
      },
      context,
    );
    const names = page.entries.map((entry) => parse(entry, nameRecord));
    return page.nextPageToken === undefined ? { names } : { names, nextPageToken: page.nextPageToken };
  }

  /** Changes records together, durably. Throws `ABORTED` when a condition does not hold any more. */
  async commit(
    conditions: readonly Condition[],
    operations: readonly StateOperation[],
    context: OperationContext,
  ): Promise<void> {
    const compare = conditions.map(({ key, revision }) => ({ key, modRevision: revision }));
    const result = await this.#store.transact({ compare, operations }, context);
    if (result.committed) return;
    throw new VdcError("ABORTED", `'${result.conflicts[0]?.key ?? compare[0]?.key}' was changed meanwhile: try again`, {
      reason: "VDC_VOLUME_BUSY",
    });
  }

  async #get<T>(key: string, schema: z.ZodType<T>, context: OperationContext): Promise<Stored<T> | undefined> {
    const { entry } = await this.#store.get({ key }, context);
    return entry === undefined ? undefined : { value: parse(entry, schema), revision: entry.modRevision };
  }

  async *#all(prefix: string, context: OperationContext): AsyncGenerator<KeyValue> {
    let pageToken: string | undefined;
    do {
      const input = pageToken === undefined ? { prefix, limit: 1000 } : { prefix, limit: 1000, pageToken };
      const page = await this.#store.list(input, context);
      yield* page.entries;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }
}

/** A put of a record. */
export function putRecord(key: string, value: object): StateOperation {
  // Through JSON, so that what is undefined is left out.
  return { type: "put", key, value: JSON.parse(JSON.stringify(value)) as Json };
}

/** A delete of a key. */
export function deleteRecord(key: string): StateOperation {
  return { type: "delete", key };
}

function parse<T>({ key, value }: KeyValue, schema: z.ZodType<T>): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new VdcError("DATA_LOSS", `the record '${key}' is damaged: ${result.error.issues[0]?.message}`, {
    reason: "VDC_RECORD_DAMAGED",
  });
}
