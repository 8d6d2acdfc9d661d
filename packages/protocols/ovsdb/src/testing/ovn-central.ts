import type { Daemon } from "./daemon.ts";
import { DaemonFolder } from "./daemon-folder.ts";
import { type OvsdbServer, startOvsdbServer } from "./ovsdb-server.ts";
import { findProgram } from "./programs.ts";
import { runTool } from "./run-tool.ts";

export interface StartOvnCentralOptions {
  /** Both databases are clusters of one member. Defaults to `false`. */
  readonly clustered?: boolean;
  readonly folder?: DaemonFolder;
  /** How long each daemon may take to come up. Defaults to `60_000`. */
  readonly startTimeoutMs?: number;
}

/** OVN's northbound and southbound databases and `ovn-northd` between them. */
export interface OvnCentral extends AsyncDisposable {
  readonly northbound: OvsdbServer;
  readonly southbound: OvsdbServer;
  readonly northd: Daemon;
  nbctl(...args: readonly string[]): Promise<string>;
  sbctl(...args: readonly string[]): Promise<string>;
  /** Resolves when every chassis has acknowledged what the northbound database says now. */
  sync(): Promise<void>;
}

/** Starts the three daemons. Nothing is left behind when it rejects. */
export async function startOvnCentral(options: StartOvnCentralOptions = {}): Promise<OvnCentral> {
  const folder = options.folder ?? (await DaemonFolder.create());
  const timeout = options.startTimeoutMs === undefined ? {} : { startTimeoutMs: options.startTimeoutMs };
  const { clustered = false } = options;
  const env = { OVN_RUNDIR: folder.path, OVS_RUNDIR: folder.path, OVN_LOGDIR: folder.path };
  try {
    const [northbound, southbound] = await Promise.all([
      startOvsdbServer({ source: { installedSchema: "ovn-nb" }, name: "nb", clustered, folder, ...timeout }),
      startOvsdbServer({ source: { installedSchema: "ovn-sb" }, name: "sb", clustered, folder, ...timeout }),
    ]);
    const nbctl = (...args: readonly string[]): Promise<string> =>
      runTool(["ovn-nbctl", `--db=${northbound.remote}`, "--timeout=20", ...args], { env });
    const sbctl = (...args: readonly string[]): Promise<string> =>
      runTool(["ovn-sbctl", `--db=${southbound.remote}`, "--timeout=20", ...args], { env });
    const control = folder.socket("northd.ctl");
    const northd = await folder.start({
      name: "northd",
      program: findProgram("ovn-northd"),
      args: [
        `--ovnnb-db=${northbound.remote}`,
        `--ovnsb-db=${southbound.remote}`,
        `--unixctl=${control}`,
        `--log-file=${folder.file("northd.log")}`,
        "--no-chdir",
        "-vconsole:off",
        "-vsyslog:off",
      ],
      env,
      control,
      ready: async () => (await southbound.transact({ op: "select", table: "SB_Global", where: [] })).some(hasRow),
      ...timeout,
    });
    return {
      northbound,
      southbound,
      northd,
      nbctl,
      sbctl,
      sync: async () => {
        await nbctl("--wait=hv", "sync");
      },
      [Symbol.asyncDispose]: async () => {
        await northd.kill();
        await Promise.all([northbound.kill(), southbound.kill()]);
        if (options.folder === undefined) await folder[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    if (options.folder === undefined) await folder[Symbol.asyncDispose]();
    throw error;
  }
}

function hasRow(result: unknown): boolean {
  return ((result as { rows?: readonly unknown[] }).rows?.length ?? 0) > 0;
}
