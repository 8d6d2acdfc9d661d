import { DaemonFolder } from "./daemon-folder.ts";
import { type OpenVswitch, startOpenVswitch } from "./open-vswitch.ts";
import { type OvnCentral, startOvnCentral } from "./ovn-central.ts";
import { type OvnChassis, startOvnChassis } from "./ovn-chassis.ts";

export interface StartOvnFabricOptions {
  /** How many chassis, 1 to 200. Defaults to `2`. */
  readonly chassis?: number;
  /** Defaults to `geneve`. */
  readonly encapsulation?: "geneve" | "vxlan";
  /** The databases are clusters of one member. Defaults to `false`. */
  readonly clustered?: boolean;
  /** Whether interfaces of this machine can be ports of chassis, as a tap of a VM monitor: that takes root. Defaults to `false`. */
  readonly hostInterfaces?: boolean;
  /** How long each daemon may take to come up. Defaults to `60_000`. */
  readonly startTimeoutMs?: number;
}

/**
 * OVN with several chassis, `chassis-1` and so on, whose tunnels run over a wire that is a switch of its own: bridge `n1` of
 * `underlay`, with one port `hv<number>` per chassis. Taking such a port away cuts the chassis off.
 */
export interface OvnFabric extends AsyncDisposable {
  readonly central: OvnCentral;
  readonly underlay: OpenVswitch;
  readonly chassis: readonly OvnChassis[];
}

/** Starts everything; resolves when all chassis are known and can reach each other. Nothing is left behind when it rejects. */
export async function startOvnFabric(options: StartOvnFabricOptions = {}): Promise<OvnFabric> {
  const { chassis: count = 2, encapsulation = "geneve", clustered = false, hostInterfaces = false } = options;
  const timeout = options.startTimeoutMs === undefined ? {} : { startTimeoutMs: options.startTimeoutMs };
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const root = await DaemonFolder.create();
  try {
    const [central, underlay] = await Promise.all([
      root.folder("c").then((folder) => startOvnCentral({ folder, clustered, ...timeout })),
      root.folder("n").then((folder) => startOpenVswitch({ folder, ...timeout })),
    ]);
    await underlay.vsctl(
      ...["add-br", "n1", "--", "set", "Bridge", "n1", "datapath_type=dummy"],
      ...numbers.flatMap((number) => {
        const listen = `options:pstream=punix:${underlay.portSocket(`hv${number}`)}`;
        return ["--", "add-port", "n1", `hv${number}`, "--", "set", "Interface", `hv${number}`, listen];
      }),
    );
    const chassis = await Promise.all(
      numbers.map(async (number) =>
        startOvnChassis({
          central,
          name: `chassis-${number}`,
          encapsulation,
          encapsulationAddress: addressOf(number),
          underlay: { socketPath: underlay.portSocket(`hv${number}`), macAddress: macOf(number) },
          folder: await root.folder(`h${number}`),
          hostInterfaces,
          ...timeout,
        }),
      ),
    );
    for (const [index, each] of chassis.entries()) {
      for (const other of numbers) {
        if (other !== index + 1) await each.setNeighbour(addressOf(other), macOf(other));
      }
    }
    await central.sync();
    return { central, underlay, chassis, [Symbol.asyncDispose]: () => root[Symbol.asyncDispose]() };
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
