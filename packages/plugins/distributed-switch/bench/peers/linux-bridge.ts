import type { Sandbox } from "../sandbox/sandbox.ts";
import { guestAddresses, type Path } from "./path.ts";

/** The kernel's bridge between veth pairs, without offloads. */
export async function linuxBridge(sandbox: Sandbox): Promise<Path> {
  const host = await sandbox.namespace("br");
  await sandbox.ip(host, "link add br0 type bridge\nlink set br0 up");
  const guests = {
    from: await sandbox.namespace("bra"),
    to: await sandbox.namespace("brb"),
    address: guestAddresses.to,
  };
  await vethGuest(sandbox, { host, bridge: "br0", guest: guests.from, port: "nic1", address: guestAddresses.from });
  await vethGuest(sandbox, { host, bridge: "br0", guest: guests.to, port: "nic2", address: guestAddresses.to });
  return { name: "Linux bridge", guests };
}

export interface VethGuestOptions {
  readonly host: string;
  readonly bridge: string;
  readonly guest: string;
  /** The interface's name on the host's side. */
  readonly port: string;
  readonly address: string;
  readonly mtu?: number;
}

/** Joins a guest to a bridge by a veth pair. */
export async function vethGuest(sandbox: Sandbox, options: VethGuestOptions): Promise<void> {
  const { host, bridge, guest, port, address, mtu = 1500 } = options;
  await sandbox.ip(
    host,
    `link add ${port} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${guest}
     link set ${port} master ${bridge}
     link set ${port} up`,
  );
  await sandbox.ip(guest, `addr add ${address}/24 dev eth0\nlink set eth0 up`);
  await sandbox.offloadsOff(host, port);
  await sandbox.offloadsOff(guest, "eth0");
}

/** The kernel's VXLAN on a bridge of either host; `underlay` joins the two hosts. */
export async function kernelVxlan(sandbox: Sandbox, underlay: Underlay): Promise<Path> {
  const guests = {
    from: await sandbox.namespace("kva"),
    to: await sandbox.namespace("kvb"),
    address: guestAddresses.to,
  };
  for (const [index, host] of underlay.hosts.entries()) {
    const { local, remote, mtu } = {
      local: underlay.addresses[index],
      remote: underlay.addresses[1 - index],
      mtu: underlay.innerMtu,
    };
    await sandbox.ip(
      host,
      `link add br0 mtu ${mtu} type bridge
       link add vx0 mtu ${mtu} type vxlan id 4096 local ${local} remote ${remote} dstport 4789 dev up0
       link set vx0 master br0
       link set vx0 up
       link set br0 up`,
    );
    await sandbox.offloadsOff(host, "vx0");
    const guest = index === 0 ? guests.from : guests.to;
    const address = index === 0 ? guestAddresses.from : guestAddresses.to;
    await vethGuest(sandbox, { host, bridge: "br0", guest, port: "nic1", address, mtu });
  }
  return { name: "kernel VXLAN", guests };
}

/** Two hosts and what they see of each other. */
export interface Underlay {
  readonly hosts: readonly [string, string];
  readonly addresses: readonly [string, string];
  /** What VXLAN leaves of the underlay's MTU. */
  readonly innerMtu: number;
}

/** Two hosts on a veth pair with the MTU 1500, without offloads. Where `addressed` is false, `up0` has no address and isn't the host's own. */
export async function twoHosts(sandbox: Sandbox, label: string, addressed: boolean): Promise<Underlay> {
  const hosts = [await sandbox.namespace(`${label}h1`), await sandbox.namespace(`${label}h2`)] as const;
  const addresses = ["10.78.0.1", "10.78.0.2"] as const;
  await sandbox.ip(hosts[0], `link add up0 type veth peer name up0 netns ${hosts[1]}`);
  for (const [index, host] of hosts.entries()) {
    await sandbox.offloadsOff(host, "up0");
    await sandbox.ip(host, "link set up0 up");
    if (addressed) await sandbox.ip(host, `addr add ${addresses[index]}/24 dev up0`);
  }
  return { hosts, addresses, innerMtu: 1450 };
}
