import type { Atom } from "../values/atom.ts";
import type { InsertedRow } from "./inserted-row.ts";

declare const rowOf: unique symbol;

/** The uuid of a row, which remembers its table at compile time. At run time it is its text in lower case. */
export type Uuid<Table extends string = string> = string & { readonly [rowOf]: Table };

/** A table as the types know it: what its rows look like and which columns are given at insert and never change. */
export interface Table<Row extends object, Immutable extends keyof Row = never> {
  readonly row: Row;
  readonly immutable: Immutable;
}

export interface TableShape {
  readonly row: object;
  readonly immutable: PropertyKey;
}

/** A database as the types know it. The generator writes one for a schema; `UntypedTables` is for schemas that are known at run time alone. */
export type DatabaseShape = { readonly [table: string]: TableShape };

/** A value of a column when nothing is known of it at compile time. */
export type UntypedValue =
  | Atom
  | undefined
  | readonly Atom[]
  | Readonly<Record<string, Atom>>
  | ReadonlyMap<Atom, Atom>;

export interface UntypedRow {
  readonly _uuid: Uuid;
  readonly [column: string]: UntypedValue;
}

export type UntypedTables = { readonly [table: string]: Table<UntypedRow> };

export type TableName<D extends DatabaseShape> = keyof D & string;

export type Row<D extends DatabaseShape, T extends keyof D> = D[T]["row"];

export type ColumnName<R> = Exclude<keyof R, "_uuid"> & string;

/** What may be written where a row shows `V`: the same, and for a uuid also a row that the same transaction inserts. */
export type Writable<V> =
  V extends Uuid<infer T>
    ? V | InsertedRow<T>
    : V extends string | number | bigint | boolean | undefined
      ? V
      : V extends readonly (infer E)[]
        ? readonly Writable<E>[]
        : V extends ReadonlyMap<infer K, infer E>
          ? ReadonlyMap<Writable<K>, Writable<E>>
          : { readonly [K in keyof V]: Writable<V[K]> };

/** The columns of a new row. What is left out has its default: 0, false, "", empty. */
export type InsertColumns<D extends DatabaseShape, T extends keyof D> = {
  readonly [C in ColumnName<Row<D, T>>]?: Writable<Row<D, T>[C]>;
};

/** The columns that an update gives a new value. `undefined` empties an optional column. */
export type UpdateColumns<D extends DatabaseShape, T extends keyof D> = {
  readonly [C in Exclude<ColumnName<Row<D, T>>, D[T]["immutable"]>]?: Writable<Row<D, T>[C]>;
};

/** A row of which some columns are there. */
export type SelectedRow<R, C extends keyof R> = { readonly [K in C]: R[K] };
