import { setTimeout as delay } from "node:timers/promises";
import { DaemonFolder } from "./daemon-folder.ts";
import { FixtureError } from "./fixture-error.ts";
import { type DatabaseSource, type OvsdbServer, serve } from "./ovsdb-server.ts";
import { findSchema } from "./programs.ts";
import { runTool } from "./run-tool.ts";

export interface StartOvsdbClusterOptions {
  readonly source: DatabaseSource;
  /** Defaults to `3`. */
  readonly members?: number;
  /** How soon a silent leader is replaced, in milliseconds, 100 to 600,000. Defaults to `300`: a test should not wait a second. */
  readonly electionTimerMs?: number;
  readonly folder?: DaemonFolder;
}

/** A clustered database of several servers. Disposing of it kills them all. */
export interface OvsdbCluster extends AsyncDisposable {
  readonly members: readonly OvsdbServer[];
  readonly databaseName: string;
  /** All addresses as the tools write them, with commas. */
  readonly remote: string;
  /** The running member that leads, as soon as there is one. Rejects with `NOT_READY` after `timeoutMs`, default `60_000`. */
  leader(options?: { readonly timeoutMs?: number }): Promise<OvsdbServer>;
}

/** Starts a cluster; resolves when every member has joined. Nothing is left behind when it rejects. */
export async function startOvsdbCluster(options: StartOvsdbClusterOptions): Promise<OvsdbCluster> {
  const { source, members: count = 3, electionTimerMs = 300 } = options;
  const folder = options.folder ?? (await DaemonFolder.create());
  try {
    const contents =
      "schema" in source ? source.schema : "database" in source ? source.database : findSchema(source.installedSchema);
    const raft = (index: number): string => `unix:${folder.socket(`m${index}.raft`)}`;
    const members: OvsdbServer[] = [];
    for (let index = 1; index <= count; index += 1) {
      const databaseFile = folder.file(`m${index}.db`);
      const timer = `--election-timer=${electionTimerMs}`;
      const [first] = members;
      if (first === undefined)
        await runTool(["ovsdb-tool", timer, "create-cluster", databaseFile, contents, raft(index)]);
      else await runTool(["ovsdb-tool", "join-cluster", databaseFile, first.databaseName, raft(index), raft(1)]);
      members.push(await serve({ name: `m${index}`, databaseFile, folder, ownsFolder: false }));
    }
    return {
      members,
      databaseName: members[0]?.databaseName ?? "",
      remote: members.map(({ remote }) => remote).join(","),
      leader: ({ timeoutMs = 60_000 } = {}) => findLeader(members, timeoutMs),
      [Symbol.asyncDispose]: async () => {
        for (const member of members) await member.kill();
        if (options.folder === undefined) await folder[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    if (options.folder === undefined) await folder[Symbol.asyncDispose]();
    throw error;
  }
}

async function findLeader(members: readonly OvsdbServer[], timeoutMs: number): Promise<OvsdbServer> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    for (const member of members) if (member.daemon.running && (await member.isLeader())) return member;
    if (performance.now() > deadline) throw new FixtureError("NOT_READY", `no member led after ${timeoutMs} ms`);
    await delay(10);
  }
}
