import { JsonRpcSocket, missingPrograms, type OpenVswitch, startOpenVswitch } from "@vdc-os/ovsdb/testing";
import type { VlanSetting } from "../../src/dataplane/vlan-membership.ts";
import { type OpenFlowPort, OpenFlowPorts } from "./open-flow-ports.ts";
import { PcapTail } from "./pcap-tail.ts";
import type { CaseConfig, CaseFrame, CaseMirror, Contestant } from "./switch-case.ts";

const SENTINEL_BRIDGE = "s";
/** A VLAN that no frame can have: it makes a trunk list that is empty for ours not mean "all" to Open vSwitch. */
const NO_VLAN = 4095;

/** Whether Open vSwitch is absent. Says loudly what is then not tested; where CI is set, that is a failure. */
export function isOpenVswitchMissing(consequence: string): boolean {
  const missing = missingPrograms("openvswitch");
  if (missing.length === 0) return false;
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(`${text}; they must be where CI is set`);
  console.warn(`SKIPPED, ${text}: ${consequence}`);
  return true;
}

/**
 * Open vSwitch without its caches and without a kernel. Frames go in by `netdev-dummy/receive` and come out in capture files.
 *
 * Nothing here waits for a time. The daemon has one loop; in each turn it polls every device and then takes control calls. A frame counts
 * as switched when a sentinel that was given after it has left a bridge of its own: the turn that polled the sentinel's device polled the
 * frame's too, and the next control call is taken when that turn is over. The flow cache is off (`flow-limit=0`), because what was learned
 * reaches cached flows only some time later; the clock stands still, but for the pauses of a case.
 */
export class OpenVswitchContestant implements Contestant, AsyncDisposable {
  readonly name = "Open vSwitch";
  readonly #ovs: OpenVswitch;
  readonly #database: JsonRpcSocket;
  readonly #openFlow: readonly OpenFlowPorts[];
  readonly #ports: readonly OpenFlowPort[];
  readonly #tails: readonly PcapTail[];
  readonly #sentinels: PcapTail;
  #sentinel = 0;
  #blocked = new Set<number>();
  #generation = 0;

  private constructor(parts: {
    readonly ovs: OpenVswitch;
    readonly database: JsonRpcSocket;
    readonly openFlow: readonly OpenFlowPorts[];
    readonly ports: readonly OpenFlowPort[];
    readonly tails: readonly PcapTail[];
    readonly sentinels: PcapTail;
    readonly generation: number;
  }) {
    this.#ovs = parts.ovs;
    this.#database = parts.database;
    this.#openFlow = parts.openFlow;
    this.#ports = parts.ports;
    this.#tails = parts.tails;
    this.#sentinels = parts.sentinels;
    this.#generation = parts.generation;
  }

  /** With `hosts`, a bridge for each, and between every two a pair of patch ports that stand for a tunnel. */
  static async start(ports: number, { hosts = 1 }: { readonly hosts?: number } = {}): Promise<OpenVswitchContestant> {
    const ovs = await startOpenVswitch({ otherConfig: { "flow-limit": "0", "stats-update-interval": "1000000000" } });
    try {
      const capture = (port: string): string => `${ovs.runDirectory}/${port}.pcap`;
      const addBridge = (bridge: string): string[] => [
        "--",
        "add-br",
        bridge,
        "--",
        "set",
        "Bridge",
        bridge,
        "datapath_type=dummy",
      ];
      const addPort = (bridge: string, port: string, number: number): string[] => [
        ...["--", "add-port", bridge, port, "--", "set", "Interface", port, "type=dummy"],
        ...[`ofport_request=${number}`, `options:tx_pcap=${capture(port)}`],
      ];
      // Protected ports don't forward to each other: split horizon.
      const addTunnel = (from: number, to: number): string[] => [
        ...["--", "add-port", `b${from}`, `t${from}${to}`, "--", "set", "Port", `t${from}${to}`, "protected=true"],
        ...["--", "set", "Interface", `t${from}${to}`, "type=patch", `options:peer=t${to}${from}`],
      ];
      const names = Array.from({ length: ports }, (_, index) => `p${index}`);
      const bridges = Array.from({ length: hosts }, (_, host) => host);
      await ovs.vsctl(
        ...bridges.flatMap((host) => addBridge(`b${host}`)),
        ...names.flatMap((name, index) => addPort(`b${index % hosts}`, name, index + 1)),
        ...bridges.flatMap((from) => bridges.flatMap((to) => (from === to ? [] : addTunnel(from, to)))),
        ...addBridge(SENTINEL_BRIDGE),
        ...addPort(SENTINEL_BRIDGE, "s0", 1),
        ...addPort(SENTINEL_BRIDGE, "s1", 2),
      );
      // From here on time passes where a case says so.
      await ovs.control("time/stop");
      const database = await JsonRpcSocket.connect(ovs.database.socketPath);
      const select = { op: "select", table: "Interface", where: [], columns: ["name", "mac_in_use"] };
      const generation = { op: "select", table: "Open_vSwitch", where: [], columns: ["cur_cfg"] };
      const [interfaces, switches] = (await database.request("transact", ["Open_vSwitch", select, generation])) as [
        { rows: { name: string; mac_in_use: string }[] },
        { rows: { cur_cfg: number }[] },
      ];
      return new OpenVswitchContestant({
        ovs,
        database,
        openFlow: await Promise.all(bridges.map((host) => OpenFlowPorts.connect(`${ovs.runDirectory}/b${host}.mgmt`))),
        ports: names.map((name, index) => ({
          number: index + 1,
          macAddress: interfaces.rows.find((row) => row.name === name)?.mac_in_use ?? "",
        })),
        tails: names.map((name) => new PcapTail(capture(name))),
        sentinels: new PcapTail(capture("s1")),
        generation: switches.rows[0]?.cur_cfg ?? 0,
      });
    } catch (error) {
      await ovs[Symbol.asyncDispose]();
      throw error;
    }
  }

  async configure(config: CaseConfig): Promise<void> {
    this.#generation += 1;
    const operations = [
      ...config.ports.map(({ vlan }, index) => ({
        op: "update",
        table: "Port",
        where: [["name", "==", `p${index}`]],
        // Nothing but copies leaves a mirror's destination, and `protected` would keep those of isolated ports from it.
        row: { ...portRow(vlan), ...(index === config.mirror?.destination ? { protected: false } : {}) },
      })),
      ...(await this.#mirrorOperations(config.mirror)),
      { op: "update", table: "Bridge", where: [], row: { mcast_snooping_enable: config.snooping } },
      { op: "update", table: "Open_vSwitch", where: [], row: { next_cfg: this.#generation } },
    ];
    await this.#transact(...operations);
    const realised = { cur_cfg: this.#generation };
    await this.#transact({
      ...{ op: "wait", table: "Open_vSwitch", timeout: 10_000, where: [], columns: ["cur_cfg"] },
      ...{ until: "==", rows: [realised] },
    });
    const blocked = new Set(config.ports.flatMap((port, index) => (port.blocked ? [index] : [])));
    await Promise.all(
      this.#openFlow.map(async (bridge, host) => {
        const changed = this.#ports.flatMap((port, index) =>
          index % this.#openFlow.length !== host || blocked.has(index) === this.#blocked.has(index)
            ? []
            : [{ port, blocked: blocked.has(index) }],
        );
        if (changed.length > 0) await bridge.block(changed);
      }),
    );
    this.#blocked = blocked;
    await this.#settle();
    for (const host of this.#openFlow.keys()) {
      await this.#ovs.control("fdb/flush", `b${host}`);
      if (config.snooping) await this.#ovs.control("mdb/flush", `b${host}`);
    }
    for (const tail of this.#tails) tail.read();
  }

  async exchange(frames: readonly CaseFrame[]): Promise<Buffer[][]> {
    for (const { port, bytes, pauseMs } of frames) {
      const received = this.#ovs.control("netdev-dummy/receive", `p${port}`, bytes.toString("hex"));
      await Promise.all([received, this.#passSentinel()]);
      if (pauseMs === 0) continue;
      await this.#ovs.control("time/warp", `${pauseMs}`);
      // What expires does so in the next turn.
      await this.#settle();
    }
    // The turn in which the last sentinel left may not have ended, and the last frame may be the last of it.
    await this.#ovs.control("version");
    return this.#tails.map((tail) => tail.read());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#database[Symbol.dispose]();
    for (const bridge of this.#openFlow) bridge[Symbol.dispose]();
    for (const tail of [...this.#tails, this.#sentinels]) tail[Symbol.dispose]();
    await this.#ovs[Symbol.asyncDispose]();
  }

  /** Changes what `configure` made, in Open vSwitch's own words. */
  async vsctl(...args: readonly string[]): Promise<void> {
    await this.#ovs.vsctl(...args);
    // The tool counted the configuration up.
    const select = { op: "select", table: "Open_vSwitch", where: [], columns: ["cur_cfg"] };
    const [{ rows }] = (await this.#transact(select)) as [{ rows: { cur_cfg: number }[] }];
    this.#generation = rows[0]?.cur_cfg ?? this.#generation;
    await this.#settle();
  }

  async #settle(): Promise<void> {
    await this.#passSentinel();
    await this.#ovs.control("version");
  }

  async #passSentinel(): Promise<void> {
    this.#sentinel += 1;
    const frame = Buffer.alloc(60);
    frame.write("ffffffffffff02000000000188b6", "hex");
    frame.writeUInt32BE(this.#sentinel, 14);
    await this.#ovs.control("netdev-dummy/receive", "s0", frame.toString("hex"));
    while (!this.#sentinels.read().some((each) => each.equals(frame))) await this.#ovs.control("version");
  }

  async #transact(...operations: readonly unknown[]): Promise<unknown[]> {
    const results = (await this.#database.request("transact", ["Open_vSwitch", ...operations])) as unknown[];
    for (const result of results) {
      if (typeof result === "object" && result !== null && "error" in result) throw new Error(JSON.stringify(result));
    }
    return results;
  }

  async #mirrorOperations(mirror: CaseMirror | undefined): Promise<unknown[]> {
    // A session is one bridge's: those that have mirrors here have one host.
    const where = [["name", "==", "b0"]];
    if (mirror === undefined) return [{ op: "update", table: "Bridge", where, row: { mirrors: ["set", []] } }];
    const select = { op: "select", table: "Port", where: [], columns: ["_uuid", "name"] };
    const [{ rows }] = (await this.#transact(select)) as [{ rows: { _uuid: unknown; name: string }[] }];
    const uuid = (index: number): unknown => rows.find(({ name }) => name === `p${index}`)?._uuid;
    const sources = ["set", mirror.sources.map(uuid)];
    const none = ["set", []];
    return [
      {
        op: "insert",
        table: "Mirror",
        "uuid-name": "mirror",
        row: {
          name: "mirror",
          select_src_port: mirror.direction === "out" ? none : sources,
          select_dst_port: mirror.direction === "in" ? none : sources,
          output_port: uuid(mirror.destination),
          ...(mirror.snapLength === undefined ? {} : { snaplen: mirror.snapLength }),
        },
      },
      { op: "update", table: "Bridge", where, row: { mirrors: ["named-uuid", "mirror"] } },
    ];
  }
}

/** A `VlanSetting` in Open vSwitch's words. */
function portRow(vlan: VlanSetting): Record<string, unknown> {
  const row = (
    mode: string,
    tag: number | undefined,
    trunks: readonly number[],
    isProtected = false,
  ): Record<string, unknown> => ({
    vlan_mode: mode,
    tag: tag ?? ["set", []],
    trunks: ["set", trunks],
    protected: isProtected,
  });
  switch (vlan.kind) {
    case "none":
      return row("access", 0, []);
    case "access":
      return row("access", vlan.id, []);
    case "pvlan":
      return row("access", vlan.primary, [], vlan.role === "isolated");
    case "trunk": {
      const vlans = new Set(
        vlan.ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, i) => from + i)),
      );
      const native = vlan.native !== undefined && vlans.has(vlan.native) ? vlan.native : undefined;
      const trunks = vlans.size === 0 ? [NO_VLAN] : [...vlans];
      return native === undefined ? row("trunk", undefined, trunks) : row("native-untagged", native, trunks);
    }
  }
}
