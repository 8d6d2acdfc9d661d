import { VdcError } from "@vdc-os/core";
import type { KeyValue } from "@vdc-os/core/state/v1";

/** A change that was made: the key's new entry, or nothing for a deletion. */
export interface StateChange {
  readonly revision: number;
  readonly key: string;
  readonly entry: KeyValue | undefined;
}

/** Every change since the store began or was compacted, and what is now. */
export class StateLog {
  /** The entries as they are now. Not to be changed by others. */
  readonly now: Map<string, KeyValue> = new Map();
  /** The entries as of {@link compactRevision}. */
  readonly #base: Map<string, KeyValue> = new Map();
  #changes: StateChange[] = [];
  #compactRevision = 0;
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  /** Changes before this revision are forgotten. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  append(changes: readonly StateChange[]): void {
    for (const change of [...changes].sort((a, b) => compareKeys(a.key, b.key))) {
      this.#changes.push(change);
      apply(this.now, change);
      this.#revision = change.revision;
    }
  }

  /** The changes after a revision, in order. */
  after(revision: number): readonly StateChange[] {
    let low = 0;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#changes.slice(low);
  }

  /** The entries as of a revision. Fails with `ABORTED` when it was compacted away. */
  asOf(revision: number): ReadonlyMap<string, KeyValue> {
    if (revision >= this.#revision) return this.now;
    if (revision < this.#compactRevision) {
      throw new VdcError("ABORTED", "the page token's revision was compacted away: list again");
    }
    const state = new Map(this.#base);
    for (const change of this.#changes) {
      if (change.revision > revision) break;
      apply(state, change);
    }
    return state;
  }

  /** The past of a key, newest first: the changes since compaction, and what it was then. */
  historyOf(key: string): readonly StateChange[] {
    const past = this.#changes.filter((change) => change.key === key).reverse();
    const entry = this.#base.get(key);
    const known = entry !== undefined && past.some(({ revision }) => revision === entry.modRevision);
    return entry === undefined || known ? past : [...past, { revision: entry.modRevision, key, entry }];
  }

  /** Forgets the changes before a revision. `OUT_OF_RANGE` for one that has not been. */
  compact(revision: number): void {
    if (revision > this.#revision) throw new VdcError("OUT_OF_RANGE", `revision ${revision} has not been yet`);
    if (revision <= this.#compactRevision) return;
    const kept = this.after(revision - 1);
    for (const change of this.#changes.slice(0, this.#changes.length - kept.length)) apply(this.#base, change);
    for (const change of kept) if (change.revision === revision) apply(this.#base, change);
    this.#changes = [...kept];
    this.#compactRevision = revision;
  }
}

/** Keys are ordered by code point, as UTF-8 orders bytes. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function apply(state: Map<string, KeyValue>, { key, entry }: StateChange): void {
  if (entry === undefined) state.delete(key);
  else state.set(key, entry);
}
