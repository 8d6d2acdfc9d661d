import { type Calls, isVdcError, VdcError } from "@vdc-os/core";
import type { Compare, KeyValue, StateOperation, StateStore } from "@vdc-os/core/state/v1";

/** What the framework uses of a state store. A `Handle<StateStore>` is one. */
export type StateAccess = Pick<Calls<StateStore>, "get" | "transact" | "list" | "watch">;

/** What a transaction shall do, as worked out from what was read; or a result that needs no transaction. */
export type Plan<T> =
  | {
      readonly compare: readonly Compare[];
      readonly operations: readonly StateOperation[];
      /** The result, once committed at a revision. */
      readonly result: (revision: number) => T;
    }
  | { readonly done: T };

/** Options of {@link commit}. */
export interface CommitOptions {
  readonly signal?: AbortSignal | undefined;
  /** What is being done, for the error text. */
  readonly what: string;
  /** How often conflicts are tried again. Defaults to 100: each conflict means that somebody else has succeeded. */
  readonly attempts?: number;
}

/**
 * Reads, decides and commits in one transaction; on a conflict with another writer it reads and decides anew. Errors that `plan`
 * throws end it. Fails with `ABORTED` when it lost every attempt.
 */
export async function commit<T>(state: StateAccess, plan: () => Promise<Plan<T>>, options: CommitOptions): Promise<T> {
  const { signal, what, attempts = 100 } = options;
  for (let attempt = 0; attempt < attempts; attempt++) {
    signal?.throwIfAborted();
    const planned = await plan();
    if ("done" in planned) return planned.done;
    const { compare, operations, result } = planned;
    const outcome = await state.transact({ compare, operations }, { signal });
    if (outcome.committed) return result(outcome.revision);
  }
  throw new VdcError("ABORTED", `${what} met other writers ${attempts} times: try again`, {
    reason: "VDC_CONTENTION",
  });
}

/** The entries under a prefix as of one revision. A page token that became too old starts it over. */
export async function listEntries(
  state: StateAccess,
  prefix: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<{ readonly entries: readonly KeyValue[]; readonly revision: number }> {
  const { signal } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      const entries: KeyValue[] = [];
      let pageToken: string | undefined;
      for (;;) {
        const page = await state.list({ prefix, ...(pageToken === undefined ? {} : { pageToken }) }, { signal });
        entries.push(...page.entries);
        if (page.nextPageToken === undefined) return { entries, revision: page.revision };
        pageToken = page.nextPageToken;
      }
    } catch (error) {
      if (!isVdcError(error, "ABORTED") || attempt === 5) throw error;
    }
  }
}
