import { join } from "node:path";
import type { DataPlaneConfig, DataPlanePortConfig } from "../../src/dataplane/data-plane-config.ts";
import { DataPlaneClient } from "../load/data-plane-client.ts";
import { startTapNic } from "../load/tap-stream.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Underlay } from "./linux-bridge.ts";
import { guestAddresses, type Path } from "./path.ts";

export interface OurSwitchOptions {
  /** The compiled `tap-stream`. */
  readonly tapStream: string;
  /** How many frames a NIC puts into one write. */
  readonly framesPerWrite: number;
  readonly name: string;
}

const macs = ["52:54:00:00:00:01", "52:54:00:00:00:02"] as const;
let nics = 0;

interface GuestNic {
  readonly namespace: string;
  readonly index: 0 | 1;
  readonly mtu: number;
  /** Defaults to one of its own. */
  readonly socketPath?: string;
  /** Dials the socket, on which another one listens. */
  readonly dial?: boolean;
}

/** Starts a guest's NIC with the address that the switch knows, and returns its port. */
async function nic(
  sandbox: Sandbox,
  { tapStream, framesPerWrite }: OurSwitchOptions,
  guest: GuestNic,
): Promise<DataPlanePortConfig> {
  const { namespace, index, mtu, socketPath = join(sandbox.folder, `nic${nics++}.sock`), dial = false } = guest;
  await startTapNic(sandbox, { program: tapStream, namespace, device: "eth0", socketPath, framesPerWrite, dial });
  await sandbox.offloadsOff(namespace, "eth0");
  const address = index === 0 ? guestAddresses.from : guestAddresses.to;
  await sandbox.ip(
    namespace,
    `link set eth0 address ${macs[index]} mtu ${mtu} up
     addr add ${address}/24 dev eth0`,
  );
  return { key: `guest-${index}`, socketPath, settings: { macAddress: macs[index], vlan: { kind: "none" } } };
}

/** Our data plane between two NICs on stream sockets. */
export async function ourSwitch(sandbox: Sandbox, options: OurSwitchOptions): Promise<Path> {
  const host = await sandbox.namespace("us");
  const guests = {
    from: await sandbox.namespace("usa"),
    to: await sandbox.namespace("usb"),
    address: guestAddresses.to,
  };
  const ports = [
    await nic(sandbox, options, { namespace: guests.from, index: 0, mtu: 1500 }),
    await nic(sandbox, options, { namespace: guests.to, index: 1, mtu: 1500 }),
  ];
  const plane = DataPlaneClient.startIn(sandbox, host);
  await plane.applyAndConnect({ generation: 1, switches: [{ key: "bench", vniBase: 4096, peers: [], ports }] });
  return { name: options.name, guests };
}

/** The same two NICs joined without a switch: what the guests, their taps and the programs that feed them can do at most. */
export async function joinedNics(sandbox: Sandbox, options: OurSwitchOptions): Promise<Path> {
  const guests = {
    from: await sandbox.namespace("jna"),
    to: await sandbox.namespace("jnb"),
    address: guestAddresses.to,
  };
  const socketPath = join(sandbox.folder, `nic${nics++}.sock`);
  await nic(sandbox, options, { namespace: guests.to, index: 1, mtu: 1500, socketPath });
  await nic(sandbox, options, { namespace: guests.from, index: 0, mtu: 1500, socketPath, dial: true });
  return { name: options.name, guests };
}

/** Our data plane between two interfaces of its host, which the guests are behind: veth pairs, as the Linux bridge and Open vSwitch have them. */
export async function ourInterfaces(sandbox: Sandbox): Promise<Path> {
  const host = await sandbox.namespace("ui");
  const guests = {
    from: await sandbox.namespace("uia"),
    to: await sandbox.namespace("uib"),
    address: guestAddresses.to,
  };
  const ports: DataPlanePortConfig[] = [];
  for (const index of [0, 1] as const) {
    const guest = index === 0 ? guests.from : guests.to;
    const interfaceName = `nic${index}`;
    await sandbox.ip(host, `link add ${interfaceName} type veth peer name eth0 netns ${guest}`);
    await sandbox.ip(
      guest,
      `link set eth0 address ${macs[index]} up
       addr add ${index === 0 ? guestAddresses.from : guestAddresses.to}/24 dev eth0`,
    );
    await sandbox.offloadsOff(host, interfaceName);
    await sandbox.offloadsOff(guest, "eth0");
    const settings = { macAddress: macs[index], vlan: { kind: "none" } } as const;
    ports.push({ key: `guest-${index}`, interfaceName, settings });
  }
  const plane = DataPlaneClient.startIn(sandbox, host);
  await plane.applyAndConnect({ generation: 1, switches: [{ key: "bench", vniBase: 4096, peers: [], ports }] });
  return { name: "ours, on interfaces", guests };
}

/** Two of our data planes with a VXLAN tunnel between them. */
export async function ourVxlan(sandbox: Sandbox, options: OurSwitchOptions, underlay: Underlay): Promise<Path> {
  const { hosts, addresses, innerMtu } = underlay;
  const guests = {
    from: await sandbox.namespace("uxa"),
    to: await sandbox.namespace("uxb"),
    address: guestAddresses.to,
  };
  for (const index of [0, 1] as const) {
    const port = await nic(sandbox, options, {
      namespace: index === 0 ? guests.from : guests.to,
      index,
      mtu: innerMtu,
    });
    const config: DataPlaneConfig = {
      generation: 1,
      vtep: { listen: { address: addresses[index], port: 4789 }, underlayMtu: 1500 },
      switches: [
        {
          key: "bench",
          vniBase: 4096,
          maxMtu: innerMtu,
          peers: [{ key: "other", address: addresses[index === 0 ? 1 : 0], port: 4789 }],
          ports: [port],
        },
      ],
    };
    await DataPlaneClient.startIn(sandbox, hosts[index]).applyAndConnect(config);
  }
  return { name: options.name, guests };
}
