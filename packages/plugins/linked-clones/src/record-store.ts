import { type Handle, type Json, type OperationContext, VdcError } from "@vdc-os/core";
import type { KeyValue, StateOperation, StateStore } from "@vdc-os/core/state/v1";
import type { z } from "zod";

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

/** Records of a provider in the state store, under `linked-clones/<name>/`. */
export class RecordStore {
  readonly #store: Handle<StateStore>;
  readonly #prefix: string;

  constructor(store: Handle<StateStore>, name: string) {
    this.#store = store;
    this.#prefix = `linked-clones/${name}/`;
  }

  /** The key of parts that are ids or names: whatever characters a provider's ids have. */
  key(...parts: readonly string[]): string {
    return this.#prefix + parts.map(encodeURIComponent).join("/");
  }

  async get<T>(key: string, schema: z.ZodType<T>, context: OperationContext): Promise<Stored<T> | undefined> {
    const { entry } = await this.#store.get({ key }, context);
    return entry === undefined ? undefined : { value: parse(entry, schema), revision: entry.modRevision };
  }

  /** The number of records directly below a key, counted up to a limit. */
  async count(parts: readonly string[], limit: number, context: OperationContext): Promise<number> {
    return (await this.#store.list({ prefix: `${this.key(...parts)}/`, limit }, context)).entries.length;
  }

  /** The records below a key, with the last part of theirs. */
  async *all<T>(
    parts: readonly string[],
    schema: z.ZodType<T>,
    context: OperationContext,
  ): AsyncGenerator<{ readonly key: string; readonly id: string; readonly value: T }> {
    const prefix = `${this.key(...parts)}/`;
    let pageToken: string | undefined;
    do {
      const input = pageToken === undefined ? { prefix, limit: 1000 } : { prefix, limit: 1000, pageToken };
      const page = await this.#store.list(input, context);
      for (const entry of page.entries) {
        const id = decodeURIComponent(entry.key.slice(entry.key.lastIndexOf("/") + 1));
        yield { key: entry.key, id, value: parse(entry, schema) };
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
  }

  /** A page of the records below a key, in order. The token is the store's. */
  async page<T>(
    parts: readonly string[],
    schema: z.ZodType<T>,
    input: { readonly limit: number; readonly pageToken?: string | undefined },
    context: OperationContext,
  ): Promise<{ readonly values: readonly T[]; readonly nextPageToken?: string }> {
    const { limit, pageToken } = input;
    const page = await this.#store.list(
      { prefix: `${this.key(...parts)}/`, limit, ...(pageToken === undefined ? {} : { pageToken }) },
      context,
    );
    const values = page.entries.map((entry) => parse(entry, schema));
    return page.nextPageToken === undefined ? { values } : { values, nextPageToken: page.nextPageToken };
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
