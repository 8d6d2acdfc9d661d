import { existsSync } from "node:fs";
import { missingPrograms, type OpenVswitch, startOpenVswitch } from "@vdc-os/ovsdb/testing";
import { tapProblem } from "../src/vm-tap.ts";

/**
 * Whether tests with real taps on a real Open vSwitch must be skipped; says so, and why. In continuous integration a missing program is a failure, and so is a
 * missing right where tests run as root.
 */
export async function lacksOpenVswitch(): Promise<boolean> {
  const missing = missingPrograms("openvswitch");
  const why = missing.length > 0 ? `not installed: ${missing.join(", ")}` : await tapProblem();
  if (why === undefined) return false;
  if (process.env.CI && (missing.length > 0 || process.getuid?.() === 0)) throw new Error(why);
  console.warn(`SKIPPED, ${why}: that VMs are joined to Open vSwitch`);
  return true;
}

/** A host's Open vSwitch with one bridge, which floods. */
export class BridgeHost implements AsyncDisposable {
  readonly openVswitch: OpenVswitch;
  readonly bridge: string;

  private constructor(openVswitch: OpenVswitch, bridge: string) {
    this.openVswitch = openVswitch;
    this.bridge = bridge;
  }

  static async start(datapathType = "dummy"): Promise<BridgeHost> {
    const openVswitch = await startOpenVswitch({ hostInterfaces: true });
    // A bridge of the datapath 'netdev' is an interface of this machine, and so needs a name of its own.
    const host = new BridgeHost(openVswitch, `vdcb${process.pid}`);
    await openVswitch.vsctl("add-br", host.bridge, "--", "set", "Bridge", host.bridge, `datapath_type=${datapathType}`);
    return host;
  }

  get remote(): string {
    return this.openVswitch.database.remote;
  }

  /** The bridge's ports. */
  async ports(): Promise<readonly string[]> {
    return words(await this.openVswitch.vsctl("list-ports", this.bridge));
  }

  /** A column of an interface, as `ovs-vsctl` writes it. */
  async interface(name: string, column: string): Promise<string> {
    return (await this.openVswitch.vsctl("get", "Interface", name, column)).trim().replaceAll('"', "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.openVswitch.vsctl("--if-exists", "del-br", this.bridge).catch(() => undefined);
    await this.openVswitch[Symbol.asyncDispose]();
  }
}

/** Whether there is an interface of this name on this machine. */
export function hasInterface(name: string): boolean {
  return existsSync(`/sys/class/net/${name}`);
}

function words(text: string): readonly string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
