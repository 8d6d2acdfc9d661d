import { TableCodec } from "../model/table-codec.ts";
import { DatabaseCache } from "../monitor/database-cache.ts";
import { TableCache } from "../monitor/table-cache.ts";
import { OvsdbError } from "../ovsdb-error.ts";
import { parseTable } from "../schema/parse-schema.ts";
import type { RpcConnection } from "../wire/rpc-connection.ts";

/** The part of the `_Server` database that says whether a database can be used (ovsdb-server(5)). */
const DATABASE_TABLE = parseTable({
  columns: {
    name: { type: "string" },
    model: { type: "string" },
    connected: { type: "boolean" },
    leader: { type: "boolean" },
  },
});

const COLUMNS: ReadonlySet<string> = new Set(DATABASE_TABLE.columns.keys());

export const SERVER_MONITOR_ID = "vdc-server";

/** Follows, through the `_Server` database, whether this server serves a database and leads its cluster. */
export class ServerDatabase {
  readonly #database: string;
  readonly #leaderOnly: boolean;
  readonly #cache: DatabaseCache;
  #known = false;

  constructor(database: string, leaderOnly: boolean) {
    this.#database = database;
    this.#leaderOnly = leaderOnly;
    const table = new TableCache(new TableCodec("Database", DATABASE_TABLE), COLUMNS);
    this.#cache = new DatabaseCache(new Map([["Database", table]]));
  }

  /** Begins to follow. A server older than 2.9 has no `_Server`: there is nothing to follow, and databases are not clustered. */
  async watch(connection: RpcConnection, timeoutMs: number): Promise<void> {
    try {
      await connection.call("monitor", ["_Server", SERVER_MONITOR_ID, { Database: [{ columns: [...COLUMNS] }] }], {
        timeoutMs,
        onResult: (result) => {
          this.#cache.replace(result, "updates");
          this.#known = true;
        },
      });
    } catch (error) {
      if (!(error instanceof OvsdbError) || error.code !== "OVSDB_REQUEST_FAILED") throw error;
    }
  }

  apply(updates: unknown): void {
    this.#cache.apply(updates, "updates");
  }

  /** Why this server can't be used for the database now, in words; `undefined` when it can. */
  get obstacle(): string | undefined {
    if (!this.#known) return undefined;
    const row = this.#cache.tables.get("Database")?.find({ name: this.#database });
    if (row === undefined) return `does not serve database '${this.#database}'`;
    if (row.model !== "clustered") return undefined;
    if (row.connected !== true) return `is not connected to the cluster of database '${this.#database}'`;
    if (this.#leaderOnly && row.leader !== true) return `is not the leader of database '${this.#database}'`;
    return undefined;
  }
}
