import type { Daemon } from "./daemon.ts";
import { DaemonFolder } from "./daemon-folder.ts";
import type { DummyPort } from "./dummy-port.ts";
import { type OpenVswitch, startOpenVswitch } from "./open-vswitch.ts";
import type { OvnCentral } from "./ovn-central.ts";
import { findProgram } from "./programs.ts";

export interface StartOvnChassisOptions {
  readonly central: OvnCentral;
  /** The chassis' id and host name. */
  readonly name: string;
  /** The address of its tunnels. */
  readonly encapsulationAddress: string;
  /** Defaults to `geneve`. */
  readonly encapsulation?: "geneve" | "vxlan";
  /** Where its underlay goes. Without one it has no tunnels. */
  readonly underlay?: OvnUnderlay;
  /** `external_ids` of its `Open_vSwitch` row beside OVN's own. */
  readonly externalIds?: Readonly<Record<string, string>>;
  /** Whether interfaces of this machine can be ports, as a tap of a VM monitor: that takes root. Defaults to `false`. */
  readonly hostInterfaces?: boolean;
  readonly folder?: DaemonFolder;
  /** How long each daemon may take to come up. Defaults to `60_000`. */
  readonly startTimeoutMs?: number;
}

/** The wire of a chassis: the stream of a dummy device elsewhere, and the address that this end has. */
export interface OvnUnderlay {
  /** The socket on which the other device listens. */
  readonly socketPath: string;
  readonly macAddress: string;
}

export interface OpenLogicalPortOptions {
  /** The interface's name on the chassis. */
  readonly name: string;
  /** The logical switch port that it claims. */
  readonly logicalPort: string;
}

/** One host of OVN: its own Open vSwitch and `ovn-controller`. */
export interface OvnChassis extends AsyncDisposable {
  readonly name: string;
  readonly encapsulationAddress: string;
  readonly openVswitch: OpenVswitch;
  readonly controller: Daemon;
  /** Plugs a NIC into `br-int` for a logical port and takes its other end. */
  openPort(options: OpenLogicalPortOptions): Promise<DummyPort>;
  /** What `tnl/neigh/set` does: says where a tunnel's other end is, which is otherwise learned by ARP at the first frame's expense. */
  setNeighbour(address: string, macAddress: string): Promise<void>;
}

/** Starts a chassis; resolves when the southbound database lists it. Nothing is left behind when it rejects. */
export async function startOvnChassis(options: StartOvnChassisOptions): Promise<OvnChassis> {
  const { central, name, encapsulationAddress, encapsulation = "geneve", underlay } = options;
  const folder = options.folder ?? (await DaemonFolder.create());
  const timeout = options.startTimeoutMs === undefined ? {} : { startTimeoutMs: options.startTimeoutMs };
  try {
    const openVswitch = await startOpenVswitch({
      folder,
      externalIds: {
        "system-id": name,
        hostname: name,
        "ovn-remote": central.southbound.remote,
        "ovn-encap-type": encapsulation,
        "ovn-encap-ip": encapsulationAddress,
        "ovn-bridge-datapath-type": "dummy",
        ...options.externalIds,
      },
      hostInterfaces: options.hostInterfaces ?? false,
      ...timeout,
    });
    const integration = [
      "set",
      "Bridge",
      "br-int",
      "fail-mode=secure",
      "datapath_type=dummy",
      "other-config:disable-in-band=true",
    ];
    await openVswitch.vsctl("add-br", "br-int", "--", ...integration);
    if (underlay !== undefined) await connectUnderlay(openVswitch, encapsulationAddress, underlay);
    const controller = await folder.start({
      name: "controller",
      program: findProgram("ovn-controller"),
      args: [
        openVswitch.database.remote,
        `--log-file=${folder.file("controller.log")}`,
        "--no-chdir",
        "-vconsole:off",
        "-vsyslog:off",
      ],
      // Its control socket's name can't be chosen before OVN 24.03; the folder can.
      env: { OVS_RUNDIR: folder.path, OVN_RUNDIR: folder.path },
      control: (pid) => folder.socket(`ovn-controller.${pid}.ctl`),
      ready: async () => {
        const select = { op: "select", table: "Chassis", where: [["name", "==", name]], columns: ["name"] };
        const [result] = (await central.southbound.transact(select)) as { rows: unknown[] }[];
        return (result?.rows.length ?? 0) > 0;
      },
      ...timeout,
    });
    return {
      name,
      encapsulationAddress,
      openVswitch,
      controller,
      openPort: (port) =>
        openVswitch.openPort({ bridge: "br-int", name: port.name, externalIds: { "iface-id": port.logicalPort } }),
      setNeighbour: async (address, macAddress) => {
        await openVswitch.control("tnl/neigh/set", "br-phys", address, macAddress);
      },
      [Symbol.asyncDispose]: async () => {
        await controller.kill();
        await openVswitch[Symbol.asyncDispose]();
        if (options.folder === undefined) await folder[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    if (options.folder === undefined) await folder[Symbol.asyncDispose]();
    throw error;
  }
}

/** Userspace tunnels need their address on a bridge, and the wire in that bridge. */
async function connectUnderlay(
  { vsctl, control }: OpenVswitch,
  address: string,
  { socketPath, macAddress }: OvnUnderlay,
): Promise<void> {
  await vsctl(
    ...["add-br", "br-phys", "--", "set", "Bridge", "br-phys", "datapath_type=dummy"],
    ...[`other-config:hwaddr="${macAddress}"`],
    ...["--", "add-port", "br-phys", "up0", "--", "set", "Interface", "up0", "type=dummy"],
    `options:stream=unix:${socketPath}`,
  );
  await control("netdev-dummy/ip4addr", "br-phys", `${address}/24`);
  await control("ovs/route/add", `${address}/24`, "br-phys");
}
