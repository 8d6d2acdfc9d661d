import type { WaitOptions } from "../client/deadline.ts";
import type { OvsdbError } from "../ovsdb-error.ts";
import type { MonitorConditions } from "./monitor-request.ts";
import type { MonitoredRows, RowChange } from "./row-change.ts";
import type { TableView } from "./table-cache.ts";

export type MonitorViews<R extends MonitoredRows> = { readonly [T in keyof R]: TableView<R[T]> };

export interface WaitForOptions extends WaitOptions {
  /** What is waited for, in words, for the error when it doesn't come. */
  readonly what?: string;
}

export interface MonitorEventMap<R extends MonitoredRows> {
  /** Rows have changed. Told once all of an update is in the tables, and before a transaction of this client that caused it resolves. */
  readonly changes: readonly [changes: readonly RowChange<R>[]];
  /** The tables are again what the server has: after a reconnect, behind the `changes` that it brought. */
  readonly current: readonly [];
  /** The connection is gone: the tables stay as they are, and may be of the past. */
  readonly stale: readonly [reason: OvsdbError];
}

/**
 * Some tables of a database, kept equal to the server's. Connections may come and go: the content stays, and what changed meanwhile is told as changes like
 * any other. Several monitors of one client are independent of each other.
 *
 * `R` is the rows as they are seen, `Whole` the rows with all their columns, which conditions may name.
 */
export interface OvsdbMonitor<R extends MonitoredRows, Whole extends { readonly [T in keyof R]: object } = R>
  extends AsyncDisposable {
  /** The tables, as of the last update. */
  readonly tables: MonitorViews<R>;
  /** Whether the tables follow the server now. */
  readonly isCurrent: boolean;
  /** Listens; returns how to stop. */
  on<N extends keyof MonitorEventMap<R>>(name: N, listener: (...args: MonitorEventMap<R>[N]) => void): () => void;
  /**
   * Waits until the function finds what it looks for: it is called now, and after every update, until it returns something else than `undefined` and
   * `false`. It isn't called while the tables are of the past.
   *
   * @throws `OVSDB_TIMEOUT`, `OVSDB_ABORTED`; `OVSDB_CLOSED` once the monitor or the client is closed; what the function throws
   */
  waitFor<T>(probe: (tables: MonitorViews<R>) => T | undefined | false, options?: WaitForOptions): Promise<T>;
  /**
   * Changes which rows of the named tables are seen. Resolves when the tables hold them; the rows that came and went are told as added and deleted.
   *
   * @throws `OVSDB_INVALID_ARGUMENT`, `OVSDB_REQUEST_FAILED`, `OVSDB_TIMEOUT`, `OVSDB_ABORTED`
   */
  setConditions(conditions: MonitorConditions<Whole>, options?: WaitOptions): Promise<void>;
  /** Ends the monitor. Its tables stay readable. */
  cancel(): Promise<void>;
}
