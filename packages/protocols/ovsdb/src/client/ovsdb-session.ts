import { OvsdbError } from "../ovsdb-error.ts";
import type { DatabaseSchema } from "../schema/database-schema.ts";
import { parseSchema } from "../schema/parse-schema.ts";
import { openStream } from "../wire/open-stream.ts";
import type { Remote } from "../wire/remote.ts";
import { type RpcCallOptions, RpcConnection } from "../wire/rpc-connection.ts";
import type { ResolvedSettings } from "./connection-settings.ts";
import { SERVER_MONITOR_ID, ServerDatabase } from "./server-database.ts";
import { ServerSchema } from "./server-schema.ts";

export interface OpenSessionOptions {
  readonly settings: ResolvedSettings;
  readonly model: DatabaseSchema | undefined;
  readonly database: string;
  readonly signal: AbortSignal;
  readonly onNotification: (method: string, params: readonly unknown[]) => void;
}

/** One connection to one server that serves the database and may be used for it. It ends when that changes. */
export class OvsdbSession {
  readonly remote: Remote;
  readonly server: ServerSchema;
  readonly #connection: RpcConnection;

  private constructor(remote: Remote, connection: RpcConnection, server: ServerSchema) {
    this.remote = remote;
    this.server = server;
    this.#connection = connection;
  }

  /** @throws whatever made this remote useless: `OVSDB_CONNECT_FAILED`, `OVSDB_CLOSED`, `OVSDB_REQUEST_FAILED`, `OVSDB_PROTOCOL`, ... */
  static async open(remote: Remote, options: OpenSessionOptions): Promise<OvsdbSession> {
    const { settings, database, signal } = options;
    const timeoutMs = settings.connectTimeoutMs;
    const stream = await openStream(remote, { tls: settings.tls, timeoutMs, signal });
    const server = new ServerDatabase(database, settings.leaderOnly);
    let ready = false;
    const leaveWhenUnusable = (): void => {
      const { obstacle } = server;
      if (obstacle !== undefined) connection.close(unusable(remote, obstacle));
    };
    const connection = new RpcConnection(stream, {
      ...settings,
      remote: remote.text,
      onNotification: (method, params) => {
        if (method === "update" && params[0] === SERVER_MONITOR_ID) {
          server.apply(params[1]);
          if (ready) leaveWhenUnusable();
        } else if (method === "monitor_canceled") {
          // The database was removed or got another schema: everything is asked anew.
          connection.close(unusable(remote, `has cancelled a monitor of database '${database}'`));
        } else if (ready) options.onNotification(method, params);
      },
    });
    const onAbort = (): void => connection.close(new OvsdbError("OVSDB_ABORTED", "Connecting was aborted."));
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      // A server that knows this request leaves the connection up when databases come and go. One that doesn't refuses it, which is no harm.
      const awareness = connection.call("set_db_change_aware", [true], { timeoutMs }).catch(() => {});
      const schema = connection.call("get_schema", [database], { timeoutMs });
      const settled = Promise.allSettled([awareness, schema]);
      await server.watch(connection, timeoutMs);
      const { obstacle } = server;
      if (obstacle !== undefined) throw unusable(remote, obstacle);
      await settled;
      const theirs: DatabaseSchema = parseSchema(await schema);
      leaveWhenUnusable();
      ready = true;
      if (connection.isClosed) throw await connection.closed;
      return new OvsdbSession(remote, connection, new ServerSchema(theirs, options.model ?? theirs));
    } catch (error) {
      connection.close(error instanceof OvsdbError ? error : undefined);
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  get closed(): Promise<OvsdbError> {
    return this.#connection.closed;
  }

  get isClosed(): boolean {
    return this.#connection.isClosed;
  }

  call(method: string, params: readonly unknown[], options: RpcCallOptions): Promise<unknown> {
    return this.#connection.call(method, params, options);
  }

  notify(method: string, params: readonly unknown[]): void {
    if (!this.#connection.isClosed) this.#connection.notify(method, params);
  }

  close(reason?: OvsdbError): void {
    this.#connection.close(reason);
  }
}

function unusable(remote: Remote, obstacle: string): OvsdbError {
  return new OvsdbError("OVSDB_CLOSED", `Server '${remote.text}' ${obstacle}.`, { details: { remote: remote.text } });
}
