import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import sqliteStateStore from "@vdc-os/plugin-sqlite-state-store";
import type { CertificationKit } from "@vdc-os/ready";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { startTwoHosts } from "./two-hosts.ts";

/** What the network suite is run on: the switch over data planes in processes of two hosts. */
export async function create(kit: CertificationKit): Promise<NetworkInstance> {
  const hosts = await startTwoHosts(kit);
  const state = { directory: join(kit.folder(), "state") };
  const plugins = [hosts.registration, use(sqliteStateStore, { config: state })];
  const config = { name: "net", checkIntervalMs: 100, requestTimeoutMs: 5_000 };
  let running = await kit.start(distributedSwitch, { config, plugins });
  return {
    implementation: running.implementation,
    hosts: hosts.names,
    async restart() {
      await running.stop();
      running = await kit.start(distributedSwitch, { config, plugins });
      return running.implementation;
    },
  };
}
