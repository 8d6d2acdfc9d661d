import type { AnyRow, TableCodec } from "../model/table-codec.ts";
import type { Uuid } from "../model/row-types.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import type { ColumnValue } from "../values/column-codec.ts";
import { MaintainedIndex, type RowIndex } from "./row-index.ts";

/** The rows of one table that a monitor sees, as of the last update. Rows are frozen: one that changes is another object, one that doesn't stays the same. */
export interface TableView<R extends { readonly _uuid: Uuid }> extends Iterable<R> {
  readonly name: string;
  readonly size: number;
  get(uuid: R["_uuid"]): R | undefined;
  has(uuid: R["_uuid"]): boolean;
  rows(): readonly R[];
  filter(predicate: (row: R) => boolean): readonly R[];
  /**
   * The rows whose columns have these values. Looks them up when the columns are those of an index of the schema, else looks at every row.
   *
   * @throws `OVSDB_INVALID_ARGUMENT`: a column that is not monitored
   */
  findAll(match: Partial<R>): readonly R[];
  /** The first row of `findAll`. */
  find(match: Partial<R>): R | undefined;
  /** The row of a table that has one at most, such as `Open_vSwitch` and `NB_Global`. */
  only(): R | undefined;
  /**
   * An index of the rows by what the function says of a row: a key, several, or none. It is made once and follows the cache:
   *
   * ```ts
   * const byIfaceId = monitor.tables.Interface.indexBy((row) => row.external_ids["iface-id"]);
   * ```
   */
  indexBy(keyOf: (row: R) => string | readonly string[] | undefined): RowIndex<R>;
}

/** The view with what its monitor needs to keep it. */
export class TableCache implements TableView<AnyRow & { readonly _uuid: Uuid }> {
  readonly name: string;
  readonly codec: TableCodec;
  /** The columns that rows have besides `_uuid`. */
  readonly columns: ReadonlySet<string>;
  readonly #rows = new Map<string, CachedRow>();
  readonly #indexes: MaintainedIndex<CachedRow>[] = [];
  readonly #schemaIndexes = new Map<string, MaintainedIndex<CachedRow>>();

  constructor(codec: TableCodec, columns: ReadonlySet<string>) {
    this.name = codec.name;
    this.codec = codec;
    this.columns = columns;
  }

  get size(): number {
    return this.#rows.size;
  }

  get(uuid: string): CachedRow | undefined {
    return this.#rows.get(uuid);
  }

  has(uuid: string): boolean {
    return this.#rows.has(uuid);
  }

  rows(): readonly CachedRow[] {
    return [...this.#rows.values()];
  }

  [Symbol.iterator](): Iterator<CachedRow> {
    return this.#rows.values();
  }

  filter(predicate: (row: CachedRow) => boolean): readonly CachedRow[] {
    return this.rows().filter(predicate);
  }

  only(): CachedRow | undefined {
    return this.#rows.values().next().value;
  }

  find(match: Partial<CachedRow>): CachedRow | undefined {
    return this.findAll(match)[0];
  }

  findAll(wanted: Partial<CachedRow>): readonly CachedRow[] {
    const names = Object.keys(wanted);
    const match: Record<string, ColumnValue> = {};
    for (const name of names) {
      if (name !== "_uuid" && !this.columns.has(name)) {
        throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `Column '${name}' of table '${this.name}' is not monitored.`, {
          details: { table: this.name, column: name },
        });
      }
      // Into the form in which rows hold it, whatever the order of a set's elements.
      const codec = this.codec.column(name);
      match[name] = codec.decode(codec.encode(wanted[name]));
    }
    const index = this.#schemaIndex(names);
    const candidates =
      index === undefined ? this.#rows.values() : index.index.get(this.#indexKey(match, index.columns));
    return [...candidates].filter((row) =>
      names.every((name) => this.codec.columns.get(name)!.equals(row[name], match[name])),
    );
  }

  indexBy(keyOf: (row: CachedRow) => string | readonly string[] | undefined): RowIndex<CachedRow> {
    return this.#addIndex((row) => {
      const key = keyOf(row);
      return key === undefined ? [] : typeof key === "string" ? [key] : key;
    });
  }

  put(row: AnyRow): void {
    const next = row as CachedRow;
    const old = this.#rows.get(next._uuid);
    this.#rows.set(next._uuid, next);
    for (const index of this.#indexes) {
      if (old !== undefined) index.remove(old);
      index.add(next);
    }
  }

  delete(uuid: string): void {
    const old = this.#rows.get(uuid);
    if (old === undefined) return;
    this.#rows.delete(uuid);
    for (const index of this.#indexes) index.remove(old);
  }

  #addIndex(keysOf: (row: CachedRow) => Iterable<string>): MaintainedIndex<CachedRow> {
    const index = new MaintainedIndex<CachedRow>(keysOf);
    for (const row of this.#rows.values()) index.add(row);
    this.#indexes.push(index);
    return index;
  }

  /** Made at the first search that can use it. */
  #schemaIndex(
    names: readonly string[],
  ): { readonly index: MaintainedIndex<CachedRow>; readonly columns: readonly string[] } | undefined {
    const columns = this.codec.schema.indexes.find(
      (index) => index.length <= names.length && index.every((column) => names.includes(column)),
    );
    if (columns === undefined) return undefined;
    const id = columns.join(" ");
    let index = this.#schemaIndexes.get(id);
    if (index === undefined) {
      index = this.#addIndex((row) => [this.#indexKey(row, columns)]);
      this.#schemaIndexes.set(id, index);
    }
    return { index, columns };
  }

  #indexKey(row: Partial<AnyRow>, columns: readonly string[]): string {
    return JSON.stringify(columns.map((column) => this.codec.columns.get(column)!.toElements(row[column])));
  }
}

export type CachedRow = AnyRow & { readonly _uuid: Uuid };
