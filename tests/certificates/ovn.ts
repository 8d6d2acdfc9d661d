import { createOperationContext } from "@vdc-os/core";
import { distributedSwitch } from "@vdc-os/core/network/v1";
import { type OvnFabric, startOvnFabric } from "@vdc-os/ovsdb/testing";
import type { CertificationKit } from "@vdc-os/ready";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { nicOf } from "./dummy-nic.ts";

/** Starting OVN takes seconds: it is there for all requirements. */
let fabric: OvnFabric;
let plugged = 0;

export async function prepare(): Promise<AsyncDisposable> {
  fabric = await startOvnFabric();
  return fabric;
}

/** What the network suite is run on: OVN with two chassis. What an instance made there is removed afterwards. */
export async function create(kit: CertificationKit): Promise<NetworkInstance> {
  const { central, chassis } = fabric;
  const config = {
    name: "net",
    northbound: central.northbound.remote,
    southbound: central.southbound.remote,
    hosts: Object.fromEntries(
      chassis.map(({ name, openVswitch }) => [name, { openVswitch: openVswitch.database.remote }]),
    ),
    requestTimeoutMs: 10_000,
  };
  let running = await kit.start(distributedSwitch, { config });
  return {
    implementation: running.implementation,
    hosts: chassis.map(({ name }) => name),
    async openNic({ host, attachment }) {
      const found = chassis.find(({ name }) => name === host);
      if (attachment.kind !== "ovs" || found === undefined) throw new Error("another attachment");
      plugged += 1;
      const name = `nic${plugged}`;
      const port = await found.openPort({ name, logicalPort: attachment.interfaceId });
      let unplugging: Promise<void> | undefined;
      const unplug = (): Promise<void> => {
        unplugging ??= (async () => {
          await port[Symbol.asyncDispose]();
          await found.openVswitch.vsctl("--if-exists", "del-port", "br-int", name);
        })();
        return unplugging;
      };
      kit.defer(unplug);
      return nicOf(port, unplug);
    },
    async restart() {
      await running.stop();
      running = await kit.start(distributedSwitch, { config });
      return running.implementation;
    },
    async dispose() {
      const { implementation } = running;
      const context = createOperationContext();
      for (const { switchId } of (await implementation.listSwitches({}, context)).items) {
        await implementation.collectGarbage({ switchId, known: [] }, context);
        await implementation.removeSwitch({ switchId }, context);
      }
    },
  };
}
