import type { ColumnType } from "./column-type.ts";

/** A column of a schema: RFC 7047, section 3.2, `<column-schema>`. */
export interface ColumnSchema {
  readonly type: ColumnType;
  /** Not kept over a restart of the server. */
  readonly ephemeral: boolean;
  /** False: the value is given at insert and never changes. */
  readonly mutable: boolean;
}

/** A table of a schema: RFC 7047, section 3.2, `<table-schema>`. */
export interface TableSchema {
  readonly columns: ReadonlyMap<string, ColumnSchema>;
  readonly maxRows: number | undefined;
  /** False: a row to which nothing refers strongly is deleted at once. */
  readonly isRoot: boolean;
  /** False: clients can't write to the table. No part of RFC 7047; servers know it. */
  readonly mutable: boolean;
  /** Sets of columns whose values are unique together. */
  readonly indexes: readonly (readonly string[])[];
}

/** RFC 7047, section 3.2, `<database-schema>`. */
export interface DatabaseSchema {
  readonly name: string;
  readonly version: string;
  readonly tables: ReadonlyMap<string, TableSchema>;
}
