import { DaemonFolder, type OpenVswitch, startOpenVswitch } from "@vdc-os/ovsdb/testing";

/** A host: its Open vSwitch, and the address of its tunnels. */
export interface FabricHost {
  readonly name: string;
  readonly openVswitch: OpenVswitch;
  readonly tunnelAddress: string;
}

/** Hosts with an Open vSwitch each, without a kernel module, whose tunnels run over a wire that is a switch of its own. */
export interface OpenVswitchFabric extends AsyncDisposable {
  readonly hosts: readonly FabricHost[];
}

/** Options of {@link startOpenVswitchFabric}. */
export interface OpenVswitchFabricOptions {
  /** Whether taps of this machine can be ports, which takes root. Defaults to `false`. */
  readonly hostInterfaces?: boolean;
}

/** Starts two hosts. */
export async function startOpenVswitchFabric({
  hostInterfaces = false,
}: OpenVswitchFabricOptions = {}): Promise<OpenVswitchFabric> {
  const root = await DaemonFolder.create();
  const numbers = [1, 2];
  try {
    const underlay = await startOpenVswitch({ folder: await root.folder("n") });
    await underlay.vsctl(
      ...["add-br", "n1", "--", "set", "Bridge", "n1", "datapath_type=dummy"],
      ...numbers.flatMap((number) => {
        const listen = `options:pstream=punix:${underlay.portSocket(`hv${number}`)}`;
        return ["--", "add-port", "n1", `hv${number}`, "--", "set", "Interface", `hv${number}`, listen];
      }),
    );
    const hosts = await Promise.all(
      numbers.map(async (number): Promise<FabricHost> => {
        const openVswitch = await startOpenVswitch({ folder: await root.folder(`h${number}`), hostInterfaces });
        const tunnelAddress = addressOf(number);
        await openVswitch.vsctl(
          ...["add-br", "br-phys", "--", "set", "Bridge", "br-phys", "datapath_type=dummy"],
          ...[`other-config:hwaddr="${macOf(number)}"`, "--", "add-port", "br-phys", "up0", "--", "set", "Interface"],
          ...["up0", "type=dummy", `options:stream=unix:${underlay.portSocket(`hv${number}`)}`],
        );
        await openVswitch.control("netdev-dummy/ip4addr", "br-phys", `${tunnelAddress}/24`);
        await openVswitch.control("ovs/route/add", `${tunnelAddress}/24`, "br-phys");
        for (const other of numbers) {
          if (other !== number) await openVswitch.control("tnl/neigh/set", "br-phys", addressOf(other), macOf(other));
        }
        return { name: `host-${number}`, openVswitch, tunnelAddress };
      }),
    );
    return { hosts, [Symbol.asyncDispose]: () => root[Symbol.asyncDispose]() };
  } catch (error) {
    await root[Symbol.asyncDispose]();
    throw error;
  }
}

function addressOf(number: number): string {
  return `192.168.0.${number}`;
}

function macOf(number: number): string {
  return `52:54:00:ff:00:${number.toString(16).padStart(2, "0")}`;
}
