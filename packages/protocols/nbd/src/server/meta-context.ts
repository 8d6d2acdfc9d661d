import { type BlockBackend, type BlockExtent, isPending } from "../block-backend.ts";
import * as wire from "../wire/wire-constants.ts";

/** A run of bytes with its flags in one context. */
export interface StateRun {
  readonly length: number;
  readonly state: number;
}

/** Something that a client may ask about blocks ("Metadata querying"). */
export interface MetaContext {
  readonly name: string;
  /** As `BlockBackend.extents`. */
  states(offset: number, length: number): Iterable<StateRun> | PromiseLike<Iterable<StateRun>>;
}

/** A context that a client has selected, and the number under which it is answered. */
export interface SelectedContext {
  readonly id: number;
  readonly context: MetaContext;
}

const STATES: Readonly<Record<BlockExtent["kind"], number>> = {
  data: 0,
  zero: wire.STATE_ZERO,
  hole: wire.STATE_HOLE | wire.STATE_ZERO,
};
const MAX_BITMAP_NAME_BYTES = 1023;
/** What QEMU answers to in its namespace (`docs/interop/nbd.rst`); an empty rest lists. */
const WILDCARDS: readonly string[] = ["base:", "qemu:", wire.DIRTY_BITMAP_PREFIX];

/** The contexts that a backend has now: `base:allocation`, and `qemu:dirty-bitmap:NAME` for each bitmap. */
export function contextsOf(backend: BlockBackend): readonly MetaContext[] {
  const contexts: MetaContext[] = [];
  if (backend.extents) {
    contexts.push({
      name: wire.BASE_ALLOCATION,
      states: (offset, length) => {
        const extents = backend.extents?.(offset, length) ?? [];
        return mapRuns(extents, ({ length, kind }) => ({ length, state: STATES[kind] }));
      },
    });
  }
  for (const bitmap of backend.bitmaps?.() ?? []) {
    if (Buffer.byteLength(bitmap.name) > MAX_BITMAP_NAME_BYTES) continue;
    contexts.push({
      name: `${wire.DIRTY_BITMAP_PREFIX}${bitmap.name}`,
      states: (offset, length) =>
        mapRuns(bitmap.extents(offset, length), ({ length, dirty }) => ({
          length,
          state: dirty ? wire.STATE_DIRTY : 0,
        })),
    });
  }
  return contexts;
}

/** Those that a client's queries name. Listing knows wildcards, and no query at all lists everything; selecting does not. */
export function matchContexts(
  contexts: readonly MetaContext[],
  queries: readonly string[],
  isSelection: boolean,
): readonly MetaContext[] {
  if (!isSelection && queries.length === 0) return contexts;
  const exact = new Set(queries);
  const prefixes = isSelection ? [] : WILDCARDS.filter((wildcard) => exact.has(wildcard));
  return contexts.filter(({ name }) => exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix)));
}

function mapRuns<T>(
  runs: Iterable<T> | PromiseLike<Iterable<T>>,
  map: (run: T) => StateRun,
): Iterable<StateRun> | PromiseLike<Iterable<StateRun>> {
  return isPending(runs) ? runs.then((list) => mapEach(list, map)) : mapEach(runs, map);
}

function* mapEach<T>(runs: Iterable<T>, map: (run: T) => StateRun): Generator<StateRun> {
  for (const run of runs) yield map(run);
}
