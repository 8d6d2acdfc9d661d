import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import type { CertificationKit } from "@vdc-os/ready";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { nicOf } from "./dummy-nic.ts";
import { type OpenVswitchFabric, startOpenVswitchFabric } from "./open-vswitch-fabric.ts";

/** Starting daemons takes seconds: they are there for all requirements. */
let fabric: OpenVswitchFabric;
let plugged = 0;

export async function prepare(): Promise<AsyncDisposable> {
  fabric = await startOpenVswitchFabric();
  return fabric;
}

/** What the network suite is run on: two hosts with an Open vSwitch each, whose bridges are gone afterwards. */
export async function create(kit: CertificationKit): Promise<NetworkInstance> {
  const { hosts } = fabric;
  const config = {
    name: "net",
    hosts: Object.fromEntries(
      hosts.map(({ name, openVswitch, tunnelAddress }) => [
        name,
        { openVswitch: openVswitch.database.remote, tunnelAddress, datapathType: "dummy" },
      ]),
    ),
    requestTimeoutMs: 10_000,
  };
  kit.defer(async () => {
    for (const { openVswitch } of hosts) {
      const bridges = (await openVswitch.vsctl("list-br")).split("\n").filter((name) => name.startsWith("vdc-"));
      if (bridges.length > 0) await openVswitch.vsctl(...bridges.flatMap((name) => ["--", "del-br", name]));
    }
  });
  const plugins = [use(sqliteStateStore, { config: { directory: join(kit.folder(), "state") } })];
  let running = await kit.start(distributedSwitch, { config, plugins });
  return {
    implementation: running.implementation,
    hosts: hosts.map(({ name }) => name),
    async openNic({ host, attachment }) {
      const found = hosts.find(({ name }) => name === host);
      if (attachment.kind !== "ovs" || found === undefined) throw new Error("another attachment");
      plugged += 1;
      const name = `nic${plugged}`;
      const { bridge, interfaceId } = attachment;
      const port = await found.openVswitch.openPort({ bridge, name, externalIds: { "iface-id": interfaceId } });
      let unplugging: Promise<void> | undefined;
      const unplug = (): Promise<void> => {
        unplugging ??= (async () => {
          await port[Symbol.asyncDispose]();
          await found.openVswitch.vsctl("--if-exists", "del-port", name);
        })();
        return unplugging;
      };
      kit.defer(unplug);
      return nicOf(port, unplug);
    },
    async restart() {
      await running.stop();
      running = await kit.start(distributedSwitch, { config, plugins });
      return running.implementation;
    },
  };
}
