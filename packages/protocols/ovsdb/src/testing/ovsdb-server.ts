import { copyFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Daemon } from "./daemon.ts";
import { DaemonFolder } from "./daemon-folder.ts";
import { FixtureError } from "./fixture-error.ts";
import { JsonRpcSocket } from "./json-rpc-socket.ts";
import { findProgram, findSchema, type SchemaName } from "./programs.ts";
import { runTool } from "./run-tool.ts";

/** What a new server serves: an empty database of a schema file, of an installed schema, or a copy of a database file. */
export type DatabaseSource =
  | { readonly schema: string }
  | { readonly installedSchema: SchemaName }
  | { readonly database: string };

export interface StartOvsdbServerOptions {
  readonly source: DatabaseSource;
  /** A cluster of one member: ids of transactions can be resumed from, as with every clustered database. Defaults to `false`. */
  readonly clustered?: boolean;
  /** Names its files. Defaults to `db`. */
  readonly name?: string;
  /** Further remotes, such as `ptcp:0:127.0.0.1`. */
  readonly remotes?: readonly string[];
  /** Where to work. By default a temporary folder of its own, which goes with the server. */
  readonly folder?: DaemonFolder;
  /** How long it may take to come up. Defaults to `60_000`. */
  readonly startTimeoutMs?: number;
}

/** A running `ovsdb-server` with one database. Disposing of it kills it, and removes its folder if it has one of its own. */
export interface OvsdbServer extends AsyncDisposable {
  readonly daemon: Daemon;
  /** The schema's name: the database's name on the wire. */
  readonly databaseName: string;
  readonly databaseFile: string;
  /** The Unix socket for clients. */
  readonly socketPath: string;
  /** The same as the tools write it: `unix:<path>`. */
  readonly remote: string;
  /** Kills and reaps the server; its database file and its address stay. Defaults to `SIGKILL`. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same file and address; resolves when it answers. A cluster's member may not have found a leader yet. */
  start(): Promise<void>;
  /** Resolves when the database can be written to: at once when it stands alone, with a leader known in a cluster. */
  untilConnected(options?: { readonly timeoutMs?: number }): Promise<void>;
  /** Whether this server leads its cluster; true when it stands alone. */
  isLeader(): Promise<boolean>;
  /** The results of one transaction of raw operations (RFC 7047, 4.1.3), sent by a connection of its own. */
  transact(...operations: readonly unknown[]): Promise<readonly unknown[]>;
  /** The whole database as `ovsdb-client dump` sees it, in its JSON form: one table after another. */
  dump(): Promise<string>;
}

/** Starts a server. Nothing is left behind when it rejects. */
export async function startOvsdbServer(options: StartOvsdbServerOptions): Promise<OvsdbServer> {
  const folder = options.folder ?? (await DaemonFolder.create());
  try {
    const { name = "db" } = options;
    const { source } = options;
    const databaseFile = folder.file(`${name}.db`);
    const schema =
      "schema" in source ? source.schema : "database" in source ? undefined : findSchema(source.installedSchema);
    if (options.clustered === true) {
      const contents = schema ?? ("database" in source ? source.database : "");
      await runTool(["ovsdb-tool", "create-cluster", databaseFile, contents, `unix:${folder.socket(`${name}.raft`)}`]);
    } else if (schema !== undefined) await runTool(["ovsdb-tool", "create", databaseFile, schema]);
    else if ("database" in source) await copyFile(source.database, databaseFile);
    return await serve({ ...options, name, databaseFile, folder, ownsFolder: options.folder === undefined });
  } catch (error) {
    if (options.folder === undefined) await folder[Symbol.asyncDispose]();
    throw error;
  }
}

export interface ServeOptions extends Omit<StartOvsdbServerOptions, "source" | "clustered"> {
  readonly name: string;
  readonly databaseFile: string;
  readonly folder: DaemonFolder;
  readonly ownsFolder: boolean;
}

/** Serves a database file that is there already. */
export async function serve(options: ServeOptions): Promise<OvsdbServer> {
  const { name, databaseFile, folder, remotes = [] } = options;
  const databaseName = (await runTool(["ovsdb-tool", "db-name", databaseFile])).trim();
  const socketPath = folder.socket(`${name}.sock`);
  const control = folder.socket(`${name}.ctl`);
  const daemon = await folder.start({
    name,
    program: findProgram("ovsdb-server"),
    args: [
      databaseFile,
      `--remote=punix:${socketPath}`,
      ...remotes.map((remote) => `--remote=${remote}`),
      `--unixctl=${control}`,
      `--log-file=${folder.file(`${name}.log`)}`,
      "--no-chdir",
      "-vconsole:off",
      "-vsyslog:off",
    ],
    env: { OVS_RUNDIR: folder.path },
    control,
    ready: async () => (await once(socketPath, "list_dbs", [])) !== undefined,
    ...(options.startTimeoutMs === undefined ? {} : { startTimeoutMs: options.startTimeoutMs }),
  });
  const server = new RunningServer({
    daemon,
    databaseName,
    databaseFile,
    socketPath,
    folder,
    ownsFolder: options.ownsFolder,
  });
  await server.untilConnected();
  return server;
}

class RunningServer implements OvsdbServer {
  readonly daemon: Daemon;
  readonly databaseName: string;
  readonly databaseFile: string;
  readonly socketPath: string;
  readonly remote: string;
  readonly #folder: DaemonFolder;
  readonly #ownsFolder: boolean;

  constructor(options: {
    readonly daemon: Daemon;
    readonly databaseName: string;
    readonly databaseFile: string;
    readonly socketPath: string;
    readonly folder: DaemonFolder;
    readonly ownsFolder: boolean;
  }) {
    this.daemon = options.daemon;
    this.databaseName = options.databaseName;
    this.databaseFile = options.databaseFile;
    this.socketPath = options.socketPath;
    this.remote = `unix:${options.socketPath}`;
    this.#folder = options.folder;
    this.#ownsFolder = options.ownsFolder;
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    return this.daemon.kill(signal);
  }

  start(): Promise<void> {
    return this.daemon.start();
  }

  async untilConnected({ timeoutMs = 60_000 }: { readonly timeoutMs?: number } = {}): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!((await this.#status())?.connected ?? false)) {
      if (performance.now() > deadline) {
        throw new FixtureError(
          "NOT_READY",
          `'${this.databaseName}' had no leader after ${timeoutMs} ms\n${await this.daemon.logTail()}`,
        );
      }
      await delay(10);
    }
  }

  async isLeader(): Promise<boolean> {
    return (await this.#status())?.leader ?? false;
  }

  async transact(...operations: readonly unknown[]): Promise<readonly unknown[]> {
    return (await once(this.socketPath, "transact", [this.databaseName, ...operations])) as readonly unknown[];
  }

  dump(): Promise<string> {
    return runTool(["ovsdb-client", "--format=json", "dump", this.remote, this.databaseName]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    if (this.#ownsFolder) await this.#folder[Symbol.asyncDispose]();
  }

  async #status(): Promise<{ readonly connected: boolean; readonly leader: boolean } | undefined> {
    const select = { op: "select", table: "Database", where: [["name", "==", this.databaseName]] };
    try {
      const [result] = (await once(this.socketPath, "transact", ["_Server", select])) as {
        readonly rows?: readonly { readonly connected: boolean; readonly leader: boolean }[];
      }[];
      return result?.rows?.[0];
    } catch {
      return undefined;
    }
  }
}

async function once(socketPath: string, method: string, params: readonly unknown[]): Promise<unknown> {
  using socket = await JsonRpcSocket.connect(socketPath);
  return await socket.request(method, params);
}
