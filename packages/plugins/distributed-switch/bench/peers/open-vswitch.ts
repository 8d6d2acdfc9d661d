import { execFile } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { eventually } from "../sandbox/readiness.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";
import type { Underlay } from "./linux-bridge.ts";
import { guestAddresses, type Path } from "./path.ts";

const run = promisify(execFile);

/** A database server and a switch daemon of its own in one namespace, with bridges of the userspace datapath. */
export class OpenVSwitch {
  readonly #namespace: string;
  readonly #database: string;
  readonly #sandbox: Sandbox;

  private constructor(sandbox: Sandbox, namespace: string, database: string) {
    this.#sandbox = sandbox;
    this.#namespace = namespace;
    this.#database = database;
  }

  static async start(sandbox: Sandbox, namespace: string): Promise<OpenVSwitch> {
    const folder = join(sandbox.folder, namespace.slice(-12));
    mkdirSync(folder);
    const socket = join(folder, "db.sock");
    await run("ovsdb-tool", ["create", join(folder, "conf.db"), "/usr/share/openvswitch/vswitch.ovsschema"]);
    const quiet = ["-vconsole:off", `--log-file=${join(folder, "log")}`];
    const env = { OVS_RUNDIR: folder };
    sandbox.start(
      namespace,
      "ovsdb-server",
      [join(folder, "conf.db"), `--remote=punix:${socket}`, `--unixctl=${folder}/s.ctl`, ...quiet],
      { env, stdio: "ignore" },
    );
    await eventually(async () => {
      if (!existsSync(socket)) throw new Error("ovsdb-server did not start");
    });
    const open = new OpenVSwitch(sandbox, namespace, `unix:${socket}`);
    await open.vsctl("--no-wait", "init");
    sandbox.start(namespace, "ovs-vswitchd", [open.#database, `--unixctl=${folder}/v.ctl`, ...quiet], {
      env,
      stdio: "ignore",
    });
    return open;
  }

  /** Where its database listens. */
  get database(): string {
    return this.#database;
  }

  async vsctl(...args: readonly string[]): Promise<void> {
    await run("ovs-vsctl", ["--timeout=15", `--db=${this.#database}`, ...args]);
  }

  async addBridge(name: string): Promise<void> {
    await this.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev");
  }

  /** Adds a port whose tap device the guest gets. */
  async addGuest(
    bridge: string,
    port: string,
    guest: { namespace: string; address: string; mtu: number },
  ): Promise<void> {
    await this.vsctl(
      "add-port",
      bridge,
      port,
      "--",
      "set",
      "interface",
      port,
      "type=internal",
      `mtu_request=${guest.mtu}`,
    );
    await this.#sandbox.ip(this.#namespace, `link set ${port} netns ${guest.namespace}`);
    await this.#sandbox.offloadsOff(guest.namespace, port);
    await this.#sandbox.ip(
      guest.namespace,
      `addr add ${guest.address}/24 dev ${port}
       link set ${port} mtu ${guest.mtu} up`,
    );
  }
}

/** Open vSwitch's userspace datapath between tap devices. */
export async function openVSwitchTaps(sandbox: Sandbox): Promise<Path> {
  const host = await sandbox.namespace("ov");
  const guests = {
    from: await sandbox.namespace("ova"),
    to: await sandbox.namespace("ovb"),
    address: guestAddresses.to,
  };
  const open = await OpenVSwitch.start(sandbox, host);
  await open.addBridge("br0");
  await open.addGuest("br0", "nic1", { namespace: guests.from, address: guestAddresses.from, mtu: 1500 });
  await open.addGuest("br0", "nic2", { namespace: guests.to, address: guestAddresses.to, mtu: 1500 });
  return { name: "Open vSwitch, netdev on taps", guests };
}

/** Open vSwitch's userspace datapath with a VXLAN tunnel between two hosts. */
export async function openVSwitchVxlan(sandbox: Sandbox, { hosts, addresses, innerMtu }: Underlay): Promise<Path> {
  const guests = {
    from: await sandbox.namespace("oxa"),
    to: await sandbox.namespace("oxb"),
    address: guestAddresses.to,
  };
  for (const [index, host] of hosts.entries()) {
    const open = await OpenVSwitch.start(sandbox, host);
    // Userspace tunnels need the uplink inside a bridge of the datapath, and the tunnel's address on that bridge.
    await open.addBridge("br-phy");
    await open.vsctl("add-port", "br-phy", "up0");
    await sandbox.ip(host, `addr add ${addresses[index]}/24 dev br-phy\nlink set br-phy up`);
    await sandbox.offloadsOff(host, "br-phy");
    await open.addBridge("br-int");
    const remote = `options:remote_ip=${addresses[1 - index]}`;
    await open.vsctl(
      "add-port",
      "br-int",
      "vx0",
      "--",
      "set",
      "interface",
      "vx0",
      "type=vxlan",
      remote,
      "options:key=4096",
    );
    const namespace = index === 0 ? guests.from : guests.to;
    const address = index === 0 ? guestAddresses.from : guestAddresses.to;
    await open.addGuest("br-int", "nic1", { namespace, address, mtu: innerMtu });
  }
  return { name: "Open vSwitch, netdev VXLAN", guests };
}
