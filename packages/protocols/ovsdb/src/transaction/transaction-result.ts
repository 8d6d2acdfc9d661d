import type { InsertedRow } from "../model/inserted-row.ts";
import type { Uuid } from "../model/row-types.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import { isObject } from "../schema/parse-base-type.ts";
import { isUuidText, quoteJson } from "../values/atom.ts";

/** Stands for the rows that a `select` will find. */
export interface SelectHandle<R> {
  readonly index: number;
  /** There at compile time alone. */
  readonly row?: R;
}

/** Stands for the number of rows that an `update`, `mutate` or `delete` will meet. */
export interface CountHandle {
  readonly index: number;
}

/** What an operation was, for the texts of errors. */
export interface OperationLabel {
  readonly operation: string;
  readonly table: string | undefined;
  readonly readRows?: (json: unknown) => readonly unknown[];
}

/** What became of the operations of a transaction that was committed. */
export class TransactionResult {
  readonly #results: readonly unknown[];
  readonly #labels: readonly OperationLabel[];

  constructor(results: readonly unknown[], labels: readonly OperationLabel[]) {
    this.#results = results;
    this.#labels = labels;
  }

  /** The uuid of a row that was inserted. */
  uuid<T extends string>(inserted: InsertedRow<T>): Uuid<T> {
    const uuid = this.#member(inserted.index, "uuid");
    if (!Array.isArray(uuid) || uuid[0] !== "uuid" || !isUuidText(uuid[1])) throw unreadable(inserted.index, uuid);
    return uuid[1].toLowerCase() as Uuid<T>;
  }

  /** The rows that a `select` found, in no order to rely on. */
  rows<R>(select: SelectHandle<R>): readonly R[] {
    const rows = this.#member(select.index, "rows");
    const read = this.#labels[select.index]?.readRows;
    if (!Array.isArray(rows) || read === undefined) throw unreadable(select.index, rows);
    return read(rows) as readonly R[];
  }

  /** How many rows an `update`, `mutate` or `delete` met. */
  count(handle: CountHandle): number {
    const count = this.#member(handle.index, "count");
    if (typeof count !== "number") throw unreadable(handle.index, count);
    return count;
  }

  #member(index: number, name: string): unknown {
    const result = this.#results[index];
    return isObject(result) ? result[name] : undefined;
  }
}

function unreadable(index: number, json: unknown): OvsdbError {
  return new OvsdbError("OVSDB_PROTOCOL", `The result of operation ${index} can't be read: ${quoteJson(json)}.`, {
    details: { index },
  });
}

/**
 * Reads the reply to `transact` (RFC 7047, section 4.1.3): one result per operation; at a failure an error in its place and null for the rest; an error
 * behind the last when the commit failed.
 *
 * @throws `OVSDB_OPERATION_FAILED`, `OVSDB_PROTOCOL`
 */
export function readTransactionReply(reply: unknown, labels: readonly OperationLabel[]): TransactionResult {
  if (!Array.isArray(reply) || reply.length < labels.length || reply.length > labels.length + 1) {
    throw new OvsdbError(
      "OVSDB_PROTOCOL",
      `The server answered a transaction of ${labels.length} operations with ${quoteJson(reply)}.`,
    );
  }
  for (const [index, result] of (reply as readonly unknown[]).entries()) {
    if (isObject(result) && typeof result.error === "string") throw operationError(index, result.error, result, labels);
    if (result === null || !isObject(result)) throw unreadable(index, result);
  }
  return new TransactionResult(reply, labels);
}

function operationError(
  index: number,
  error: string,
  result: Readonly<Record<string, unknown>>,
  labels: readonly OperationLabel[],
): OvsdbError {
  const label = labels[index] ?? { operation: "commit", table: undefined };
  const explanation = typeof result.details === "string" ? result.details : undefined;
  const of = label.table === undefined ? "" : ` of table '${label.table}'`;
  const where = labels[index] === undefined ? "The commit" : `Operation ${index}, '${label.operation}'${of},`;
  return new OvsdbError(
    "OVSDB_OPERATION_FAILED",
    `${where} failed: ${error}${explanation === undefined ? "" : `: ${explanation}`}`,
    {
      details: {
        index,
        operation: label.operation,
        error,
        ...(label.table === undefined ? {} : { table: label.table }),
        ...(explanation === undefined ? {} : { explanation }),
      },
    },
  );
}
