import { z } from "zod";
import type { OperationContext } from "../../context/operation-context.ts";
import { nothing } from "../../contract/ownership.ts";
import { describeOperation } from "../../extension-point/describe-operation.ts";
import type { DescribeInput, Description } from "../../extension-point/description.ts";
import { defineExtensionPoint, type ExtensionPoint } from "../../extension-point/extension-point.ts";
import { stream, unary, watch } from "../../extension-point/operation.ts";
import { type Json, json } from "../../schema/json.ts";
import { schemaOf } from "../../schema/schema-of.ts";

/** A key and its value. Keys are `/`-separated paths, at most 512 characters; values are JSON, at most 1 MiB as text. */
export interface KeyValue {
  readonly key: string;
  readonly value: Json;
  /** The store's revision at which the key was created. */
  readonly createRevision: number;
  /** The store's revision at which it was last written. */
  readonly modRevision: number;
  /** The lease it lives by, if any. */
  readonly lease?: string;
}

/** A condition of a transaction: the key's `modRevision` must be this; 0 says that the key must be absent. */
export interface Compare {
  readonly key: string;
  readonly modRevision: number;
}

/** A change in a transaction. */
export type StateOperation =
  | { readonly type: "put"; readonly key: string; readonly value: Json; readonly lease?: string }
  | { readonly type: "delete"; readonly key: string };

/** All changes happen, or none: when every condition holds. */
export interface Transaction {
  readonly compare: readonly Compare[];
  /** At most 512, and no key twice. */
  readonly operations: readonly StateOperation[];
}

/** What a transaction did. */
export type TransactionResult =
  | {
      readonly committed: true;
      /** The store's revision that the changes have. */
      readonly revision: number;
    }
  | {
      readonly committed: false;
      readonly revision: number;
      /** The keys whose condition did not hold, as they are now; one that is absent is left out. */
      readonly conflicts: readonly KeyValue[];
    };

/** An item of a watch. `resync` says that the changes asked for were compacted away: list again and watch from that list's revision. */
export type StateEvent =
  | { readonly type: "put"; readonly revision: number; readonly entry: KeyValue }
  | { readonly type: "delete"; readonly revision: number; readonly key: string }
  /** Everything up to this revision has been told. */
  | { readonly type: "progress"; readonly revision: number }
  | { readonly type: "resync"; readonly compactRevision: number };

/**
 * A lease: keys that are put with it go when it is not kept alive. It outlives the store's process, and may have its whole time again then. Its time is
 * monotonic: a jump of the wall clock ends no lease.
 */
export interface StateLease {
  readonly lease: string;
  readonly ttlMs: number;
}

/** Facet `history`: the past revisions of a key. Limits: `revisions`. */
export interface StateHistoryFacet {
  /** Newest first, until compaction. */
  keyHistory(input: { readonly key: string }, context: OperationContext): AsyncIterable<StateEvent>;
  /** Forgets revisions before this one. Watches that need them get `resync`. */
  compact(input: { readonly revision: number }, context: OperationContext): Promise<void>;
}

/** Facet `backup`. */
export interface StateBackupFacet {
  /** Writes a consistent copy into a new file. Fails with `ALREADY_EXISTS` when there is one. */
  backup(input: { readonly path: string }, context: OperationContext): Promise<{ readonly revision: number }>;
}

/** The optional parts of {@link StateStore}. */
export interface StateStoreFacets {
  readonly history?: StateHistoryFacet;
  readonly backup?: StateBackupFacet;
}

/**
 * Where a datacenter keeps what it knows (the model is etcd's): one global revision, transactions with compare, watches from a
 * revision, leases. When `transact` returns, the change is on disk and survives `kill -9` and power loss.
 */
export interface StateStore {
  describe(input: DescribeInput, context: OperationContext): Promise<Description>;
  /** The entry of a key, or nothing. */
  get(
    input: { readonly key: string },
    context: OperationContext,
  ): Promise<{ readonly entry?: KeyValue; readonly revision: number }>;
  /** A conflict is a result, not an error. */
  transact(input: Transaction, context: OperationContext): Promise<TransactionResult>;
  /**
   * Entries whose key begins with the prefix, in key order, as of one revision, which is returned. A page token holds on to it. At most 1000 entries at a
   * time, also without `limit`.
   */
  list(
    input: { readonly prefix: string; readonly limit?: number; readonly pageToken?: string },
    context: OperationContext,
  ): Promise<{ readonly entries: readonly KeyValue[]; readonly revision: number; readonly nextPageToken?: string }>;
  /** Every change under the prefix after a revision, in order, once each. What a watch has not read yet costs no memory, and holds nobody up. */
  watch(
    input: { readonly prefix: string; readonly afterRevision: number },
    context: OperationContext,
  ): AsyncIterable<StateEvent>;
  grantLease(input: { readonly ttlMs: number }, context: OperationContext): Promise<StateLease>;
  /** Begins the lease's time anew. A lease that has ended fails with `NOT_FOUND`. */
  keepAlive(input: { readonly lease: string }, context: OperationContext): Promise<StateLease>;
  /** Ends a lease, and deletes its keys. */
  revokeLease(input: { readonly lease: string }, context: OperationContext): Promise<void>;
  readonly facets?: StateStoreFacets;
}

const key = z.string().min(1).max(512);
const revision = z.int().nonnegative();

const keyValue = schemaOf<KeyValue>()(
  z.object({ key, value: json, createRevision: revision, modRevision: revision, lease: z.string().exactOptional() }),
);

const stateEvent: z.ZodType<StateEvent> = z.discriminatedUnion("type", [
  z.object({ type: z.literal("put"), revision, entry: keyValue }),
  z.object({ type: z.literal("delete"), revision, key }),
  z.object({ type: z.literal("progress"), revision }),
  z.object({ type: z.literal("resync"), compactRevision: revision }),
]);

const lease = schemaOf<StateLease>()(z.object({ lease: z.string(), ttlMs: z.number().positive() }));

/** The extension point for state stores. */
export const stateStore: ExtensionPoint<StateStore> = defineExtensionPoint<StateStore>()({
  id: "vdc.state",
  version: "1.0",
  cardinality: "one",
  summary: "Where a datacenter keeps what it knows.",
  operations: {
    describe: describeOperation,
    get: unary({
      summary: "Returns a key's entry, if there is one.",
      input: z.object({ key }),
      output: z.object({ entry: keyValue.exactOptional(), revision }),
      idempotent: true,
      errors: [],
    }),
    transact: unary({
      summary: "Makes all changes, or none, when every condition holds; durable when it returns.",
      input: z.object({
        compare: z.array(z.object({ key, modRevision: revision })),
        operations: z
          .array(
            z.discriminatedUnion("type", [
              z.object({ type: z.literal("put"), key, value: json, lease: z.string().exactOptional() }),
              z.object({ type: z.literal("delete"), key }),
            ]),
          )
          .max(512),
      }) as z.ZodType<Transaction>,
      output: z.discriminatedUnion("committed", [
        z.object({ committed: z.literal(true), revision }),
        z.object({ committed: z.literal(false), revision, conflicts: z.array(keyValue) }),
      ]),
      idempotent: false,
      errors: ["NOT_FOUND", "RESOURCE_EXHAUSTED", "DATA_LOSS"],
    }),
    list: unary({
      summary: "Lists entries by prefix, as of one revision.",
      input: z.object({
        prefix: z.string().max(512),
        limit: z.int().min(1).max(1000).exactOptional(),
        pageToken: z.string().exactOptional(),
      }),
      output: z.object({ entries: z.array(keyValue), revision, nextPageToken: z.string().exactOptional() }),
      idempotent: true,
      errors: ["ABORTED"],
    }),
    watch: watch({
      summary: "Tells every change under a prefix after a revision.",
      input: z.object({ prefix: z.string().max(512), afterRevision: revision }),
      output: stateEvent,
      idempotent: true,
      errors: [],
    }),
    grantLease: unary({
      summary: "Grants a lease.",
      input: z.object({ ttlMs: z.number().positive() }),
      output: lease,
      idempotent: false,
      errors: [],
    }),
    keepAlive: unary({
      summary: "Begins a lease's time anew.",
      input: z.object({ lease: z.string() }),
      output: lease,
      idempotent: true,
      errors: ["NOT_FOUND"],
    }),
    revokeLease: unary({
      summary: "Ends a lease and deletes its keys.",
      input: z.object({ lease: z.string() }),
      output: nothing,
      idempotent: true,
      errors: [],
    }),
  },
  facets: {
    history: {
      keyHistory: stream({
        summary: "Streams the past of a key, newest first.",
        input: z.object({ key }),
        output: stateEvent,
        idempotent: true,
        errors: [],
      }),
      compact: unary({
        summary: "Forgets revisions before one.",
        input: z.object({ revision }),
        output: nothing,
        idempotent: true,
        errors: ["OUT_OF_RANGE"],
      }),
    },
    backup: {
      backup: unary({
        summary: "Writes a consistent copy into a new file.",
        input: z.object({ path: z.string() }),
        output: z.object({ revision }),
        idempotent: false,
        errors: ["ALREADY_EXISTS", "RESOURCE_EXHAUSTED", "PERMISSION_DENIED"],
      }),
    },
  },
});
