import { type DatabaseModel, modelSchema } from "../model/database-model.ts";
import type { DatabaseShape } from "../model/row-types.ts";
import { type MonitorMethod, MonitorCore } from "../monitor/monitor-core.ts";
import { type MonitorTables, type RowsOf, readMonitorTables, type WholeRowsOf } from "../monitor/monitor-request.ts";
import type { OvsdbMonitor } from "../monitor/ovsdb-monitor.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import type { DatabaseSchema } from "../schema/database-schema.ts";
import { Transaction } from "../transaction/transaction.ts";
import { readTransactionReply, type TransactionResult } from "../transaction/transaction-result.ts";
import { parseRemotes } from "../wire/remote.ts";
import type { BackOffOptions } from "./back-off.ts";
import { type ConnectionSettings, type ResolvedSettings, resolveSettings } from "./connection-settings.ts";
import { Deadline, type WaitOptions } from "./deadline.ts";
import { OvsdbLock } from "./ovsdb-lock.ts";
import type { OvsdbSession } from "./ovsdb-session.ts";
import { SessionLoop } from "./session-loop.ts";
import { type OvsdbClientEvents, UsableSession } from "./usable-session.ts";

export interface OvsdbClientOptions<D extends DatabaseShape> extends ConnectionSettings {
  /** Where servers listen, as OVS writes it: `unix:/run/openvswitch/db.sock`, `ssl:10.0.0.1:6641,ssl:10.0.0.2:6641`. Tried in turn. */
  readonly remotes: string | readonly string[];
  /** The database and its columns. */
  readonly model: DatabaseModel<D>;
  /** The pauses between rounds of attempts to connect. */
  readonly backOff?: BackOffOptions;
  /** The best way to monitor that is tried: for servers whose better ways are broken, and for tests. Defaults to `monitor_cond_since`. */
  readonly monitorMethod?: MonitorMethod;
  /** Spreads the pauses. Defaults to `Math.random`. */
  readonly random?: () => number;
}

/**
 * A client of one database, on whichever of its servers can be used. It connects again by itself; monitors and locks survive that, transactions never go
 * out twice.
 */
export class OvsdbClient<D extends DatabaseShape> implements AsyncDisposable {
  readonly #model: DatabaseSchema;
  readonly #settings: ResolvedSettings;
  readonly #monitorMethod: MonitorMethod;
  readonly #session = new UsableSession();
  readonly #monitors = new Map<string, MonitorCore>();
  readonly #locks = new Map<string, OvsdbLock>();
  readonly #loop: SessionLoop;
  #monitorCount = 0;

  /** Begins to connect. `connectOvsdb` also waits for it. */
  constructor(options: OvsdbClientOptions<D>) {
    const remotes = parseRemotes(options.remotes);
    this.#model = modelSchema(options.model);
    this.#settings = resolveSettings(options);
    this.#monitorMethod = options.monitorMethod ?? "monitor_cond_since";
    this.#loop = new SessionLoop({
      remotes,
      backOff: options.backOff ?? {},
      random: options.random ?? Math.random,
      open: {
        settings: this.#settings,
        model: this.#model,
        database: this.#model.name,
        onNotification: (method, params) => this.#notified(method, params),
      },
      onSession: (session) => this.#prepare(session),
      onReady: ({ remote }) => this.#session.ready(remote.text),
      onFailure: (reason) => this.#lose(reason),
    });
  }

  /** The remote that is connected to, when one is. */
  get remote(): string | undefined {
    return this.#session.current?.remote.text;
  }

  get isConnected(): boolean {
    return this.#session.current !== undefined;
  }

  /** The schema of the server that is connected to, when one is. It may have more, or less, than the model. */
  get serverSchema(): DatabaseSchema | undefined {
    return this.#session.latest?.server.schema;
  }

  /** Listens; returns how to stop. */
  on<N extends keyof OvsdbClientEvents>(name: N, listener: (...args: OvsdbClientEvents[N]) => void): () => void {
    return this.#session.on(name, listener);
  }

  /** Waits until a server is connected. @throws `OVSDB_CONNECT_FAILED`, `OVSDB_ABORTED`, `OVSDB_CLOSED` */
  async connected(options: WaitOptions = {}): Promise<void> {
    await this.#session.wait(new Deadline(options));
  }

  /**
   * Begins to follow tables and resolves when they are there.
   *
   * @throws `OVSDB_INVALID_ARGUMENT`, `OVSDB_SCHEMA_MISMATCH`, `OVSDB_REQUEST_FAILED`, `OVSDB_CONNECT_FAILED`, `OVSDB_TIMEOUT`, `OVSDB_ABORTED`
   */
  async monitor<const S extends MonitorTables<D>>(
    tables: S,
    options: WaitOptions = {},
  ): Promise<OvsdbMonitor<RowsOf<D, S>, WholeRowsOf<D, S>>> {
    this.#monitorCount += 1;
    const deadline = new Deadline(options);
    const id = `monitor${this.#monitorCount}`;
    const core = new MonitorCore({
      id,
      database: this.#model.name,
      tables: readMonitorTables(this.#model, tables),
      timeoutMs: options.timeoutMs ?? this.#settings.messageTimeoutMs,
      method: this.#monitorMethod,
      onCancel: () => this.#monitors.delete(id),
    });
    const session = await this.#session.wait(deadline);
    // From here on a notification finds it, and so does a new session.
    this.#monitors.set(id, core);
    try {
      try {
        await core.start(session);
      } catch (error) {
        if (this.#session.closed || !(error instanceof OvsdbError) || error.code !== "OVSDB_CLOSED") throw error;
        // What the server made of this monitor it will make of it again.
        if (error.cause instanceof OvsdbError && error.cause.code !== "OVSDB_CLOSED") throw error.cause;
        await core.waitFor(() => true, { ...deadline.rest, what: "the content of a monitor" });
      }
    } catch (error) {
      await core.cancel();
      throw error;
    }
    // It goes out typed: what it was made from says its tables and columns.
    return core as unknown as OvsdbMonitor<RowsOf<D, S>, WholeRowsOf<D, S>>;
  }

  /** An empty transaction, for `transact`. */
  transaction(): Transaction<D> {
    return new Transaction<D>(this.#model);
  }

  /**
   * Sends a transaction, or one that the function fills, and waits for its commit. Waits for a connection if there is none; once sent it is never sent again.
   * When it resolves, the monitors of this client show what it did.
   *
   * @throws `OVSDB_OPERATION_FAILED`: an operation or the commit failed, and nothing took effect; `details` says which and why
   * @throws `OVSDB_OUTCOME_UNKNOWN`: the connection broke while the answer was awaited
   * @throws `OVSDB_TIMEOUT`, `OVSDB_ABORTED`: the server was told to cancel it, and may have committed it before
   * @throws `OVSDB_CONNECT_FAILED`, `OVSDB_SCHEMA_MISMATCH`, `OVSDB_BUSY`, `OVSDB_INVALID_ARGUMENT`: nothing was sent
   */
  async transact(
    transaction: Transaction<D> | ((transaction: Transaction<D>) => void),
    options: WaitOptions = {},
  ): Promise<TransactionResult> {
    const filled = typeof transaction === "function" ? this.transaction() : transaction;
    if (typeof transaction === "function") transaction(filled);
    const deadline = new Deadline(options);
    const session = await this.#session.wait(deadline);
    for (const [table, columns] of filled.namedColumns) session.server.require(table, columns);
    const reply = await session.call("transact", [this.#model.name, ...filled.operations], {
      timeoutMs: deadline.remainingMs,
      signal: deadline.signal,
      lostCode: filled.writes ? "OVSDB_OUTCOME_UNKNOWN" : "OVSDB_CLOSED",
      onAbandon: (id) => session.notify("cancel", [id]),
    });
    return readTransactionReply(reply, filled.labels);
  }

  /**
   * Asks for a lock and resolves once it is asked for; `OvsdbLock.acquired` waits until it is held.
   *
   * @throws `OVSDB_INVALID_ARGUMENT`: this client has asked for it already
   */
  async lock(name: string, options: WaitOptions & { readonly steal?: boolean } = {}): Promise<OvsdbLock> {
    if (this.#locks.has(name)) {
      throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `This client has asked for lock '${name}' already.`);
    }
    const deadline = new Deadline(options);
    const session = await this.#session.wait(deadline);
    const lock = new OvsdbLock(name, { steal: options.steal ?? false, onRelease: () => this.#locks.delete(name) });
    this.#locks.set(name, lock);
    try {
      await lock.start(session, deadline.remainingMs);
    } catch (error) {
      // One that was lost with its connection is asked for again by the next.
      if (!(error instanceof OvsdbError) || error.code !== "OVSDB_CLOSED" || this.#session.closed) {
        await lock.release();
        throw error;
      }
    }
    return lock;
  }

  /** The databases of the server that is connected to. */
  async listDatabases(options: WaitOptions = {}): Promise<readonly string[]> {
    const result = await this.request("list_dbs", [], options);
    if (Array.isArray(result) && result.every((name) => typeof name === "string")) return result;
    throw new OvsdbError("OVSDB_PROTOCOL", "The server's list of databases is no list of names.");
  }

  /** Sends any request that has no effect on the state of this client, and gives its result as it is on the wire. */
  async request(method: string, params: readonly unknown[], options: WaitOptions = {}): Promise<unknown> {
    const deadline = new Deadline(options);
    const session = await this.#session.wait(deadline);
    return session.call(method, params, { timeoutMs: deadline.remainingMs, signal: deadline.signal });
  }

  /** Ends the connection and all that depends on it. What is under way fails with `OVSDB_CLOSED`, or `OVSDB_OUTCOME_UNKNOWN`. */
  async close(): Promise<void> {
    const closed = new OvsdbError("OVSDB_CLOSED", "The client is closed.", { retryable: false });
    this.#session.close(closed);
    await this.#loop.close();
    for (const monitor of this.#monitors.values()) monitor.end(this.#session.closed ?? closed);
    for (const lock of this.#locks.values()) lock.end(this.#session.closed ?? closed);
    this.#session.tellClosed();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #prepare(session: OvsdbSession): Promise<void> {
    this.#session.opened(session);
    const monitors = [...this.#monitors.values()].map((monitor) => monitor.start(session));
    const locks = [...this.#locks.values()].map((lock) => lock.start(session, this.#settings.connectTimeoutMs));
    await Promise.all([...monitors, ...locks]);
  }

  #lose(reason: OvsdbError): void {
    this.#session.lost(reason);
    for (const monitor of this.#monitors.values()) monitor.stop(reason);
    for (const lock of this.#locks.values()) lock.stop();
    this.#session.tellLost(reason);
  }

  #notified(method: string, params: readonly unknown[]): void {
    const [id] = params;
    if (typeof id !== "string") return;
    switch (method) {
      case "update":
      case "update2":
      case "update3":
        this.#monitors.get(id)?.update(method, params);
        return;
      case "locked":
      case "stolen":
        this.#locks.get(id)?.told(method);
    }
  }
}

/** Connects to a database and resolves when a server of it is there. See `OvsdbClient`. */
export async function connectOvsdb<D extends DatabaseShape>(
  options: OvsdbClientOptions<D> & WaitOptions,
): Promise<OvsdbClient<D>> {
  const client = new OvsdbClient<D>(options);
  try {
    await client.connected(options);
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}
