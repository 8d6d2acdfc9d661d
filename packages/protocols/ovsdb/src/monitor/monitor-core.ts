import { Deadline, type WaitOptions } from "../client/deadline.ts";
import { Emitter } from "../client/emitter.ts";
import type { OvsdbSession } from "../client/ovsdb-session.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import { isUuidText, quoteJson, syntaxError } from "../values/atom.ts";
import { type AnyChange, DatabaseCache, type UpdateFormat } from "./database-cache.ts";
import { filterColumns, filteringReader } from "./local-filter.ts";
import { readMonitorWhere, type TableRequest, wireCondition } from "./monitor-request.ts";
import { TableCache } from "./table-cache.ts";

/** The three ways to monitor, best first: OVS 2.12, OVS 2.6, RFC 7047. */
export type MonitorMethod = "monitor_cond_since" | "monitor_cond" | "monitor";

const METHODS: readonly MonitorMethod[] = ["monitor_cond_since", "monitor_cond", "monitor"];

const NO_TRANSACTION = "00000000-0000-0000-0000-000000000000";

export interface MonitorCoreOptions {
  readonly id: string;
  readonly database: string;
  readonly tables: Map<string, TableRequest>;
  /** How long the server may take to answer with the content. */
  readonly timeoutMs: number;
  /** The best way to ask for. */
  readonly method: MonitorMethod;
  /** Takes the monitor out of its client. */
  readonly onCancel: () => void;
}

type MonitorEvents = {
  readonly changes: readonly [changes: readonly AnyChange[]];
  readonly current: readonly [];
  readonly stale: readonly [reason: OvsdbError];
};

/** A monitor as its client sees it: told of sessions and updates, it keeps its tables and tells what changed. Types of rows are not known here. */
export class MonitorCore implements AsyncDisposable {
  readonly id: string;
  readonly tables: { readonly [table: string]: TableCache };
  readonly #options: MonitorCoreOptions;
  readonly #requests: Map<string, TableRequest>;
  readonly #emitter = new Emitter<MonitorEvents>();
  readonly #probes = new Set<() => void>();
  #cache: DatabaseCache;
  #session: OvsdbSession | undefined;
  #method: MonitorMethod;
  #current = false;
  #cancelled: OvsdbError | undefined;
  #lastTransaction: string = NO_TRANSACTION;
  /**
   * How often the conditions were changed, and which of these changes the content is by for certain. While they differ, nothing can be resumed: what the
   * server told may be by either.
   */
  #revision = 0;
  #contentRevision = 0;

  constructor(options: MonitorCoreOptions) {
    this.id = options.id;
    this.#options = options;
    this.#requests = options.tables;
    this.#method = options.method;
    const caches = new Map(
      [...options.tables].map(([name, { codec, columns }]) => [name, new TableCache(codec, columns)]),
    );
    this.tables = Object.freeze(Object.fromEntries(caches));
    this.#cache = new DatabaseCache(caches);
  }

  get isCurrent(): boolean {
    return this.#current;
  }

  on<N extends keyof MonitorEvents>(name: N, listener: (...args: MonitorEvents[N]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /** Asks a new session for the content, or for what changed since the last one told, and applies it. */
  async start(session: OvsdbSession): Promise<void> {
    this.#session = session;
    for (const method of METHODS.slice(METHODS.indexOf(this.#options.method))) {
      this.#useMethod(method);
      const revision = this.#revision;
      const params: unknown[] = [this.#options.database, this.id, this.#requestParams(session)];
      if (revision !== this.#contentRevision) this.#lastTransaction = NO_TRANSACTION;
      if (method === "monitor_cond_since") params.push(this.#lastTransaction);
      try {
        await session.call(method, params, {
          timeoutMs: this.#options.timeoutMs,
          onResult: (result) => {
            this.#contentRevision = revision;
            this.#receiveContent(result);
          },
        });
        return;
      } catch (error) {
        const unknown = error instanceof OvsdbError && error.details.error?.includes("unknown method") === true;
        if (!unknown || method === "monitor") throw error;
      }
    }
  }

  /** Applies a notification that carries this monitor's id. */
  update(method: string, params: readonly unknown[]): void {
    if (!this.#current) return;
    const [, second, third] = params;
    if (method === "update3") {
      if (!isUuidText(second)) throw syntaxError(second, "expected the id of a transaction");
      this.#guard(() => this.#apply(third, "updates2"));
      this.#lastTransaction = second;
    } else {
      this.#guard(() => this.#apply(second, method === "update2" ? "updates2" : "updates"));
    }
  }

  /** The connection is gone; the content stays, and is from now on of the past. */
  stop(reason: OvsdbError): void {
    this.#session = undefined;
    if (!this.#current) return;
    this.#current = false;
    this.#emitter.emit("stale", reason);
  }

  /** No session will come any more. */
  end(reason: OvsdbError): void {
    this.#cancelled ??= reason;
    this.stop(reason);
    for (const probe of [...this.#probes]) probe();
  }

  /** See `OvsdbMonitor.waitFor`. */
  async waitFor<T>(
    probe: (tables: MonitorCore["tables"]) => T | undefined | false,
    options: WaitOptions & { readonly what?: string } = {},
  ): Promise<T> {
    return new Deadline(options).wait<T>(options.what ?? "a state of the database", (resolve, reject) => {
      const look = (): void => {
        try {
          if (this.#cancelled !== undefined) throw this.#cancelled;
          const found = this.#current ? probe(this.tables) : undefined;
          if (found !== undefined && found !== false) resolve(found);
        } catch (error) {
          reject(error);
        }
      };
      this.#probes.add(look);
      look();
      return () => this.#probes.delete(look);
    });
  }

  /** See `OvsdbMonitor.setConditions`. */
  async setConditions(conditions: { readonly [table: string]: unknown }, options: WaitOptions = {}): Promise<void> {
    const deadline = new Deadline(options);
    const encoded = Object.entries(conditions).map(([name, where]) => {
      const request = this.#requests.get(name);
      if (request === undefined) {
        throw new OvsdbError("OVSDB_INVALID_ARGUMENT", `Table '${name}' is not monitored.`, {
          details: { table: name },
        });
      }
      return [name, { ...request, where: readMonitorWhere(request.codec, where) }] as const;
    });
    const before = encoded.map(([name]) => [name, this.#requests.get(name)!] as const);
    for (const [name, request] of encoded) this.#requests.set(name, request);
    this.#revision += 1;
    const revision = this.#revision;
    for (;;) {
      const session = this.#current ? this.#session : undefined;
      if (session !== undefined) {
        try {
          await this.#changeConditions(session, encoded, revision, deadline);
          return;
        } catch (error) {
          if (!(error instanceof OvsdbError)) throw error;
          if (error.code === "OVSDB_REQUEST_FAILED")
            for (const [name, request] of before) this.#requests.set(name, request);
          if (error.code !== "OVSDB_CLOSED") throw error;
        }
      }
      // The next session is asked with the new conditions, unless it was asked already when they came.
      await this.waitFor(() => true, deadline.rest);
      if (this.#contentRevision >= revision) return;
    }
  }

  async cancel(): Promise<void> {
    if (this.#cancelled !== undefined) return;
    const session = this.#session;
    this.#options.onCancel();
    this.end(new OvsdbError("OVSDB_CLOSED", "The monitor was cancelled.", { retryable: false }));
    if (session === undefined || session.isClosed) return;
    await session.call("monitor_cancel", [this.id], { timeoutMs: this.#options.timeoutMs }).catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel();
  }

  async #changeConditions(
    session: OvsdbSession,
    changed: readonly (readonly [string, TableRequest])[],
    revision: number,
    deadline: Deadline,
  ): Promise<void> {
    const call = { timeoutMs: deadline.remainingMs, signal: deadline.signal };
    if (this.#method === "monitor") {
      await session.call("monitor_cancel", [this.id], call);
      await this.start(session);
      return;
    }
    const request = Object.fromEntries(
      changed
        .filter(([name]) => session.server.hasTable(name))
        .map(([name, { where }]) => [name, [{ where: wireCondition(where) }]]),
    );
    await session.call("monitor_cond_change", [this.id, this.id, request], {
      ...call,
      onResult: () => {
        this.#contentRevision = revision;
      },
    });
  }

  #receiveContent(result: unknown): void {
    this.#guard(() => {
      if (this.#method === "monitor_cond_since") {
        if (!Array.isArray(result) || result.length !== 3 || typeof result[0] !== "boolean" || !isUuidText(result[1])) {
          throw syntaxError(result, "expected [<found>, <last transaction>, <table updates>]");
        }
        const resumed = result[0] && this.#lastTransaction !== NO_TRANSACTION;
        this.#becomeCurrent(
          resumed ? this.#cache.apply(result[2], "updates2") : this.#cache.replace(result[2], "updates2"),
        );
        this.#lastTransaction = result[1];
      } else {
        const format = this.#method === "monitor" ? "updates" : "updates2";
        this.#becomeCurrent(this.#cache.replace(result, format));
      }
    });
  }

  #becomeCurrent(changes: readonly AnyChange[]): void {
    const again = this.#current;
    this.#current = true;
    this.#tell(changes);
    if (!again) this.#emitter.emit("current");
  }

  #apply(updates: unknown, format: UpdateFormat): void {
    if (updates === undefined) throw syntaxError(quoteJson(updates), "expected table updates");
    this.#tell(this.#cache.apply(updates, format));
  }

  #tell(changes: readonly AnyChange[]): void {
    if (changes.length > 0) this.#emitter.emit("changes", Object.freeze(changes));
    for (const probe of [...this.#probes]) probe();
  }

  /** After something impossible nothing of this content is built upon. */
  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#lastTransaction = NO_TRANSACTION;
      throw error;
    }
  }

  #useMethod(method: MonitorMethod): void {
    this.#method = method;
    const reader = method === "monitor" ? filteringReader((table) => this.#requests.get(table)?.where) : undefined;
    this.#cache = new DatabaseCache(this.#cache.tables, reader);
  }

  #requestParams(session: OvsdbSession): Record<string, unknown> {
    const params: Record<string, unknown> = {};
    for (const [name, { columns, where }] of this.#requests) {
      // A table or column that an older server lacks reads as empty.
      if (!session.server.hasTable(name)) continue;
      const wanted = this.#method === "monitor" ? filterColumns(columns, where) : columns;
      const there = [...wanted].filter((column) => session.server.hasColumn(name, column));
      for (const column of there) session.server.requireType(name, column);
      params[name] = [
        this.#method === "monitor" ? { columns: there } : { columns: there, where: wireCondition(where) },
      ];
    }
    return params;
  }
}
