/** Rows by a key that a function of the row says. It follows the cache it was made from. */
export interface RowIndex<R> {
  /** The rows with this key, in no order to rely on. */
  get(key: string): readonly R[];
  /** A row with this key, if there is one. */
  one(key: string): R | undefined;
}

/** An index that its cache keeps up. */
export class MaintainedIndex<R> implements RowIndex<R> {
  readonly #keysOf: (row: R) => Iterable<string>;
  readonly #rows = new Map<string, Set<R>>();

  constructor(keysOf: (row: R) => Iterable<string>) {
    this.#keysOf = keysOf;
  }

  get(key: string): readonly R[] {
    return [...(this.#rows.get(key) ?? [])];
  }

  one(key: string): R | undefined {
    return this.#rows.get(key)?.values().next().value;
  }

  add(row: R): void {
    for (const key of this.#keysOf(row)) {
      const rows = this.#rows.get(key);
      if (rows === undefined) this.#rows.set(key, new Set([row]));
      else rows.add(row);
    }
  }

  remove(row: R): void {
    for (const key of this.#keysOf(row)) {
      const rows = this.#rows.get(key);
      if (rows?.delete(row) && rows.size === 0) this.#rows.delete(key);
    }
  }
}
