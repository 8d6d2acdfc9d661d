import { type Handle, type Json, type OperationContext, VdcError } from "@vdc-os/core";
import type { KeyValue, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import { z } from "zod";
import { type SnapshotRecord, snapshotRecord, type VolumeRecord, volumeRecord } from "./records.ts";

/** A record, and the revision at which it was read: what a change of it is conditional on. */
export interface Stored<T> {
  readonly value: T;
  readonly key: string;
  readonly revision: number;
}

/** Records of one kind, each found by its id, and by its name while it has one. */
export class RecordTable<T extends { readonly name: string }> {
  readonly #store: Handle<StateStore>;
  readonly #prefix: string;
  readonly #schema: z.ZodType<T>;
  readonly #idOf: (value: T) => string;

  constructor(store: Handle<StateStore>, prefix: string, schema: z.ZodType<T>, idOf: (value: T) => string) {
    this.#store = store;
    this.#prefix = prefix;
    this.#schema = schema;
    this.#idOf = idOf;
  }

  async find(id: string, context: OperationContext): Promise<Stored<T> | undefined> {
    const key = `${this.#prefix}records/${id}`;
    // No key is as long: such an id was never given out.
    if (key.length > 512) return undefined;
    const { entry } = await this.#store.get({ key }, context);
    return entry === undefined ? undefined : this.#parse(entry);
  }

  async findByName(name: string, context: OperationContext): Promise<Stored<T> | undefined> {
    const { entry } = await this.#store.get({ key: this.#nameKey(name) }, context);
    return entry === undefined ? undefined : this.find(idIn(entry), context);
  }

  /** Puts a record under its name. Throws `ABORTED` when the name was taken meanwhile. */
  async add(value: T, context: OperationContext): Promise<Stored<T>> {
    const key = `${this.#prefix}records/${this.#idOf(value)}`;
    const nameKey = this.#nameKey(value.name);
    const revision = await this.#commit(
      [key, nameKey].map((absent) => ({ key: absent, modRevision: 0 })),
      [
        { type: "put", key, value: plain(value) },
        { type: "put", key: nameKey, value: { id: this.#idOf(value) } },
      ],
      context,
    );
    return { key, value, revision };
  }

  /** Replaces a record. Throws `ABORTED` when somebody else has changed it meanwhile. */
  async update(stored: Stored<T>, value: T, context: OperationContext): Promise<Stored<T>> {
    const { key, revision } = stored;
    const operations: StateOperation[] = [{ type: "put", key, value: plain(value) }];
    return { key, value, revision: await this.#commit([{ key, modRevision: revision }], operations, context) };
  }

  /** Removes a record, and its name. */
  async remove({ key, revision, value }: Stored<T>, context: OperationContext): Promise<void> {
    const operations: StateOperation[] = [
      { type: "delete", key },
      { type: "delete", key: this.#nameKey(value.name) },
    ];
    await this.#commit([{ key, modRevision: revision }], operations, context);
  }

  async all(context: OperationContext): Promise<readonly Stored<T>[]> {
    const found: Stored<T>[] = [];
    let pageToken: string | undefined;
    do {
      const prefix = `${this.#prefix}records/`;
      const page = await this.#store.list({ prefix, limit: 1_000, ...token(pageToken) }, context);
      found.push(...page.entries.map((entry) => this.#parse(entry)));
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    return found;
  }

  /** A page of records, in order of name. The token is the store's. */
  async page(
    input: { readonly limit: number; readonly pageToken?: string | undefined },
    context: OperationContext,
  ): Promise<{ readonly records: readonly T[]; readonly nextPageToken?: string }> {
    const { limit, pageToken } = input;
    const page = await this.#store.list({ prefix: `${this.#prefix}names/`, limit, ...token(pageToken) }, context);
    const records: T[] = [];
    for (const entry of page.entries) {
      const found = await this.find(idIn(entry), context);
      if (found !== undefined) records.push(found.value);
    }
    return { records, ...(page.nextPageToken === undefined ? {} : { nextPageToken: page.nextPageToken }) };
  }

  #nameKey(name: string): string {
    return `${this.#prefix}names/${name}`;
  }

  async #commit(
    compare: readonly { readonly key: string; readonly modRevision: number }[],
    operations: readonly StateOperation[],
    context: OperationContext,
  ): Promise<number> {
    const result = await this.#store.transact({ compare, operations }, context);
    if (result.committed) return result.revision;
    throw new VdcError("ABORTED", `'${compare[0]?.key}' was changed meanwhile: try again`, {
      reason: "VDC_VOLUME_BUSY",
    });
  }

  #parse({ key, value, modRevision }: KeyValue): Stored<T> {
    const result = this.#schema.safeParse(value);
    if (result.success) return { key, value: result.data, revision: modRevision };
    throw new VdcError("DATA_LOSS", `the record '${key}' is damaged: ${result.error.issues[0]?.message}`, {
      reason: "VDC_RECORD_DAMAGED",
    });
  }
}

/** What CSI has no field for, in the state store under `csi/<name>/`: `volumes/` and `snapshots/`, each with `records/<id>` and `names/<name>`. */
export class CsiCatalog {
  readonly volumes: RecordTable<VolumeRecord>;
  readonly snapshots: RecordTable<SnapshotRecord>;

  constructor(store: Handle<StateStore>, name: string) {
    this.volumes = new RecordTable(store, `csi/${name}/volumes/`, volumeRecord, ({ volumeId }) => volumeId);
    this.snapshots = new RecordTable(store, `csi/${name}/snapshots/`, snapshotRecord, ({ snapshotId }) => snapshotId);
  }

  /** A volume that is there: not one that is being made or deleted. Throws `NOT_FOUND`. */
  async volume(volumeId: string, context: OperationContext): Promise<Stored<VolumeRecord>> {
    const found = await this.volumes.find(volumeId, context);
    if (found !== undefined && isThere(found.value)) return found;
    throw new VdcError("NOT_FOUND", `there is no volume '${volumeId}'`, { reason: "VDC_NO_SUCH_VOLUME" });
  }

  /** A snapshot that is there: not one that is being taken or deleted. Throws `NOT_FOUND`. */
  async snapshot(snapshotId: string, context: OperationContext): Promise<Stored<SnapshotRecord>> {
    const found = await this.snapshots.find(snapshotId, context);
    if (found !== undefined && isSnapshotThere(found.value)) return found;
    throw new VdcError("NOT_FOUND", `there is no snapshot '${snapshotId}'`);
  }
}

/** Whether a volume was made, and is not being deleted. */
export function isThere({ backing, deleting }: VolumeRecord): boolean {
  return backing.csiId !== undefined && deleting !== true;
}

/** Whether a snapshot was taken, and is not being deleted. */
export function isSnapshotThere({ csiId, deleting }: SnapshotRecord): boolean {
  return csiId !== undefined && deleting !== true;
}

function token(pageToken: string | undefined): { readonly pageToken?: string } {
  return pageToken === undefined ? {} : { pageToken };
}

const nameEntry = z.object({ id: z.string() });

function idIn({ key, value }: KeyValue): string {
  const result = nameEntry.safeParse(value);
  if (result.success) return result.data.id;
  throw new VdcError("DATA_LOSS", `the record '${key}' is damaged`, { reason: "VDC_RECORD_DAMAGED" });
}

/** Through JSON, so that what is undefined is left out. */
function plain(value: object): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}
