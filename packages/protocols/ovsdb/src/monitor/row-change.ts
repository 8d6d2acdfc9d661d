import type { Uuid } from "../model/row-types.ts";

/** The rows of a monitor by table. */
export type MonitoredRows = { readonly [table: string]: { readonly _uuid: Uuid } };

/** What happened to one row. Test `table`, then `kind`, and the types follow. */
export type RowChange<R extends MonitoredRows> = {
  readonly [T in keyof R & string]:
    | { readonly kind: "added"; readonly table: T; readonly row: R[T] }
    | {
        readonly kind: "updated";
        readonly table: T;
        readonly old: R[T];
        readonly row: R[T];
        /** The columns that changed. */
        readonly columns: readonly (keyof R[T] & string)[];
      }
    | { readonly kind: "deleted"; readonly table: T; readonly old: R[T] };
}[keyof R & string];
