import { InsertedRow } from "../model/inserted-row.ts";
import type {
  ColumnName,
  DatabaseShape,
  InsertColumns,
  Row,
  SelectedRow,
  TableName,
  UpdateColumns,
  Uuid,
} from "../model/row-types.ts";
import { TableCodec } from "../model/table-codec.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import type { DatabaseSchema } from "../schema/database-schema.ts";
import { isObject } from "../schema/parse-base-type.ts";
import { syntaxError } from "../values/atom.ts";
import { encodeWhere, type Where } from "./condition.ts";
import { encodeMutation, type Mutation } from "./mutation.ts";
import type { CountHandle, OperationLabel, SelectHandle } from "./transaction-result.ts";

export interface InsertOptions<T extends string> {
  /** The uuid that the row shall have. Needs OVS 3.1. */
  readonly uuid?: Uuid<T>;
}

export interface WaitOperation<R> {
  /** The rows that the selected ones shall equal, or not equal, in these columns; in any order. */
  readonly rows: readonly { readonly [C in ColumnName<R>]?: R[C] }[];
  readonly columns: readonly (keyof R & string)[];
  readonly until: "==" | "!=";
  /** How long the server waits. 0: not at all, the transaction fails at once. Without it the server waits until the client gives up. */
  readonly timeoutMs?: number;
}

/** The tables and columns that a transaction names, for the check against the server's schema. */
export type NamedColumns = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Operations that take effect together or not at all (RFC 7047, section 5.2). They are checked and put into words as they are added; nothing is sent before
 * `OvsdbClient.transact`. A transaction is for one use.
 */
export class Transaction<D extends DatabaseShape> {
  readonly #schema: DatabaseSchema;
  readonly #operations: Record<string, unknown>[] = [];
  readonly #labels: OperationLabel[] = [];
  readonly #codecs = new Map<string, TableCodec>();
  readonly #named = new Map<string, Set<string>>();
  #writes = false;

  constructor(schema: DatabaseSchema) {
    this.#schema = schema;
  }

  /** Adds a row. The answer stands for its uuid in this transaction, and gets its uuid from the result. A row of a table that is no root must be referred to. */
  insert<T extends TableName<D>>(table: T, row: InsertColumns<D, T>, options: InsertOptions<T> = {}): InsertedRow<T> {
    const codec = this.#codec(table);
    const columns = codec.encodeRow(withoutUndefined(codec, row));
    const name = `row${this.#operations.length}`;
    const index = this.#add(table, Object.keys(columns), {
      op: "insert",
      table,
      row: columns,
      "uuid-name": name,
      ...(options.uuid === undefined ? {} : { uuid: options.uuid }),
    });
    return new InsertedRow(table, name, index);
  }

  /** Reads rows as they are at this point of the transaction. */
  select<T extends TableName<D>>(table: T, where: Where<Row<D, T>>): SelectHandle<Row<D, T>>;
  select<T extends TableName<D>, const C extends keyof Row<D, T> & string>(
    table: T,
    where: Where<Row<D, T>>,
    columns: readonly C[],
  ): SelectHandle<SelectedRow<Row<D, T>, C>>;
  select(table: string, where: unknown, columns?: readonly string[]): SelectHandle<unknown> {
    const codec = this.#codec(table);
    const wanted = columns ?? [...codec.schema.columns.keys()];
    for (const column of wanted) codec.column(column);
    const shown = new Set(wanted.filter((column) => column !== "_uuid"));
    const readRows = (json: unknown): readonly unknown[] =>
      (json as readonly unknown[]).map((row) => {
        if (!isObject(row)) throw syntaxError(row, `expected a row of table '${table}'`);
        const known = Object.entries(row).filter(([name]) => shown.has(name));
        return codec.decodeRow(codec.column("_uuid").decode(row._uuid) as string, Object.fromEntries(known), shown);
      });
    // Without columns the server tells all that it has: an older one fewer than the model, a newer one more.
    const operation = {
      op: "select",
      table,
      where: this.#where(codec, where),
      ...(columns === undefined ? {} : { columns: [...shown, "_uuid"] }),
    };
    return { index: this.#add(table, columns ?? [], operation, { readRows, writes: false }) };
  }

  /** Gives columns of rows new values. */
  update<T extends TableName<D>>(table: T, where: Where<Row<D, T>>, row: UpdateColumns<D, T>): CountHandle {
    const codec = this.#codec(table);
    const columns = codec.encodeRow(row);
    const operation = { op: "update", table, where: this.#where(codec, where), row: columns };
    return { index: this.#add(table, Object.keys(columns), operation) };
  }

  /** Changes columns of rows relative to what they are. */
  mutate<T extends TableName<D>>(
    table: T,
    where: Where<Row<D, T>>,
    mutations: readonly Mutation<Row<D, T>, D[T]["immutable"]>[],
  ): CountHandle {
    const codec = this.#codec(table);
    const encoded = mutations.map((mutation) => encodeMutation(codec, mutation));
    const operation = { op: "mutate", table, where: this.#where(codec, where), mutations: encoded };
    return {
      index: this.#add(
        table,
        encoded.map(([column]) => column as string),
        operation,
      ),
    };
  }

  delete<T extends TableName<D>>(table: T, where: Where<Row<D, T>>): CountHandle {
    const codec = this.#codec(table);
    return { index: this.#add(table, [], { op: "delete", table, where: this.#where(codec, where) }) };
  }

  /** Waits on the server until rows are, or are no longer, as said; with `timeoutMs: 0` it is a precondition. Fails with `timed out`. */
  wait<T extends TableName<D>>(table: T, where: Where<Row<D, T>>, until: WaitOperation<Row<D, T>>): void {
    const codec = this.#codec(table);
    for (const column of until.columns) codec.column(column);
    const operation = {
      op: "wait",
      table,
      where: this.#where(codec, where),
      columns: until.columns,
      until: until.until,
      rows: until.rows.map((row) => codec.encodeRow(row)),
      ...(until.timeoutMs === undefined ? {} : { timeout: until.timeoutMs }),
    };
    this.#add(table, until.columns, operation, { writes: false });
  }

  /** Asks that the commit be on disk before it is acknowledged. */
  commit(options: { readonly durable: boolean }): void {
    this.#add(undefined, [], { op: "commit", durable: options.durable });
  }

  /** Makes the transaction fail at this point, with `aborted`: what comes before is tried out only. */
  abort(): void {
    this.#add(undefined, [], { op: "abort" }, { writes: false });
  }

  /** A word for the server's log, such as who changed what. */
  comment(text: string): void {
    this.#add(undefined, [], { op: "comment", comment: text }, { writes: false });
  }

  /** Makes the transaction fail, with `not owner`, unless this client holds the lock. */
  assert(lock: string): void {
    this.#add(undefined, [], { op: "assert", lock }, { writes: false });
  }

  get size(): number {
    return this.#operations.length;
  }

  /** The operations as they go on the wire. */
  get operations(): readonly unknown[] {
    return this.#operations;
  }

  get labels(): readonly OperationLabel[] {
    return this.#labels;
  }

  get namedColumns(): NamedColumns {
    return this.#named;
  }

  /** Whether it can change anything, or make a promise of durability. */
  get writes(): boolean {
    return this.#writes;
  }

  #codec(name: string): TableCodec {
    let codec = this.#codecs.get(name);
    if (codec === undefined) {
      const table = this.#schema.tables.get(name);
      if (table === undefined) {
        throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `Database '${this.#schema.name}' has no table '${name}'.`, {
          details: { table: name },
        });
      }
      codec = new TableCodec(name, table);
      this.#codecs.set(name, codec);
    }
    return codec;
  }

  #where(codec: TableCodec, where: unknown): readonly unknown[] {
    const clauses = encodeWhere(codec, where);
    this.#name(
      codec.name,
      clauses.map(([column]) => column),
    );
    return clauses;
  }

  #add(
    table: string | undefined,
    columns: Iterable<string>,
    operation: { readonly op: string; readonly [member: string]: unknown },
    {
      readRows,
      writes = true,
    }: { readonly readRows?: (json: unknown) => readonly unknown[]; readonly writes?: boolean } = {},
  ): number {
    if (table !== undefined) this.#name(table, columns);
    if (writes) this.#writes = true;
    this.#labels.push({ operation: operation.op, table, ...(readRows === undefined ? {} : { readRows }) });
    return this.#operations.push(operation) - 1;
  }

  #name(table: string, columns: Iterable<string>): void {
    let set = this.#named.get(table);
    if (set === undefined) {
      set = new Set();
      this.#named.set(table, set);
    }
    for (const column of columns) set.add(column);
  }
}

/** In a new row an optional column that is `undefined` is as good as left out. */
function withoutUndefined(
  codec: TableCodec,
  row: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(row).filter(([name, value]) => value !== undefined || codec.columns.get(name)?.shape !== "optional"),
  );
}
