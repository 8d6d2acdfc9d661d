import type { Daemon } from "./daemon.ts";
import { DaemonFolder } from "./daemon-folder.ts";
import { type DummyPort, openDummyPort } from "./dummy-port.ts";
import { type OvsdbServer, startOvsdbServer } from "./ovsdb-server.ts";
import { findProgram } from "./programs.ts";
import { runTool } from "./run-tool.ts";

export interface StartOpenVswitchOptions {
  /** `external_ids` of the one `Open_vSwitch` row, set before the daemon starts: a chassis' settings. */
  readonly externalIds?: Readonly<Record<string, string>>;
  /** `other_config` of that row. `{ "flow-limit": "0" }` makes every frame be looked at anew, as if nothing were cached. */
  readonly otherConfig?: Readonly<Record<string, string>>;
  /** The database is a cluster of one member. Defaults to `false`. */
  readonly clustered?: boolean;
  /** Whether interfaces of this machine can be ports, as a tap of a VM monitor: that takes root. Datapaths stay dummies. Defaults to `false`. */
  readonly hostInterfaces?: boolean;
  readonly folder?: DaemonFolder;
  /** How long each daemon may take to come up. Defaults to `60_000`. */
  readonly startTimeoutMs?: number;
}

export interface OpenPortOptions {
  readonly bridge: string;
  /** The port's name, which is its interface's too. */
  readonly name: string;
  /** Words for `ovs-vsctl` behind the port's name: `["tag=10"]`. */
  readonly settings?: readonly string[];
  /** `external_ids` of the interface, such as OVN's `iface-id`. */
  readonly externalIds?: Readonly<Record<string, string>>;
}

/**
 * Open vSwitch with every device replaced by a dummy, unless asked otherwise: no kernel, no namespaces, no root. A port's frames come and go over a Unix
 * stream. Disposing of it kills both daemons, and removes its folder if it has one of its own.
 */
export interface OpenVswitch extends AsyncDisposable {
  readonly database: OvsdbServer;
  readonly switchd: Daemon;
  /** Where its sockets are; `<bridge>.mgmt` speaks OpenFlow. */
  readonly runDirectory: string;
  /** `ovs-vsctl`, which waits until the daemon has taken the change over. */
  vsctl(...args: readonly string[]): Promise<string>;
  /** `ovs-ofctl <command> <bridge> <args>`. */
  ofctl(command: string, bridge: string, ...args: readonly string[]): Promise<string>;
  /** `ovs-appctl <method> <args>`, without a process. */
  control(method: string, ...args: readonly string[]): Promise<string>;
  /** Where the stream of a port of this name belongs. */
  portSocket(name: string): string;
  /** Adds a port and takes its other end. */
  openPort(options: OpenPortOptions): Promise<DummyPort>;
}

/** Starts `ovsdb-server` and `ovs-vswitchd`. Nothing is left behind when it rejects. */
export async function startOpenVswitch(options: StartOpenVswitchOptions = {}): Promise<OpenVswitch> {
  const { hostInterfaces = false } = options;
  const folder = options.folder ?? (await DaemonFolder.create());
  const timeout = options.startTimeoutMs === undefined ? {} : { startTimeoutMs: options.startTimeoutMs };
  const env = { OVS_RUNDIR: folder.path, OVS_LOGDIR: folder.path, OVS_DBDIR: folder.path, OVS_SYSCONFDIR: folder.path };
  try {
    const database = await startOvsdbServer({
      source: { installedSchema: "vswitch" },
      clustered: options.clustered ?? false,
      folder,
      ...timeout,
    });
    await database.transact({
      op: "insert",
      table: "Open_vSwitch",
      row: { external_ids: map(options.externalIds), other_config: map(options.otherConfig), next_cfg: 1 },
    });
    const control = folder.socket("vswitchd.ctl");
    const switchd = await folder.start({
      name: "vswitchd",
      program: findProgram("ovs-vswitchd"),
      args: [
        database.remote,
        hostInterfaces ? "--enable-dummy" : "--enable-dummy=system",
        "--disable-system",
        `--unixctl=${control}`,
        `--log-file=${folder.file("vswitchd.log")}`,
        "--no-chdir",
        "-vconsole:off",
        "-vsyslog:off",
      ],
      env,
      control,
      // Written when the daemon has taken the database over, also when it is started again.
      ready: async () => {
        const select = { op: "select", table: "Open_vSwitch", where: [], columns: ["next_cfg", "cur_cfg"] };
        const [result] = (await database.transact(select)) as { rows: { next_cfg: number; cur_cfg: number }[] }[];
        const [row] = result?.rows ?? [];
        return row !== undefined && row.cur_cfg >= row.next_cfg;
      },
      ...timeout,
    });
    const vsctl = (...args: readonly string[]): Promise<string> =>
      runTool(["ovs-vsctl", `--db=${database.remote}`, "--timeout=20", ...args], { env });
    return {
      database,
      switchd,
      runDirectory: folder.path,
      vsctl,
      ofctl: (command, bridge, ...args) =>
        runTool(["ovs-ofctl", command, `unix:${folder.file(`${bridge}.mgmt`)}`, ...args], { env }),
      control: (method, ...args) => switchd.control(method, ...args),
      portSocket: (name) => folder.socket(`${name}.sock`),
      openPort: async ({ bridge, name, settings = [], externalIds = {} }) => {
        const path = folder.socket(`${name}.sock`);
        const ids = Object.entries(externalIds).map(([key, value]) => `external_ids:${key}=${value}`);
        const type = hostInterfaces ? "type=dummy" : "type=system";
        const set = ["set", "Interface", name, type, `options:pstream=punix:${path}`, ...ids];
        await vsctl("add-port", bridge, name, ...settings, "--", ...set);
        return openDummyPort(path);
      },
      [Symbol.asyncDispose]: async () => {
        await switchd.kill();
        await database.kill();
        if (options.folder === undefined) await folder[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    if (options.folder === undefined) await folder[Symbol.asyncDispose]();
    throw error;
  }
}

/** A map as RFC 7047, 5.1 writes it. */
function map(entries: Readonly<Record<string, string>> = {}): unknown {
  return ["map", Object.entries(entries)];
}
