import { createOperationContext } from "@vdc-os/core";
import type { DistributedSwitch } from "@vdc-os/core/network/v1";
import { type DummyPort, type OvnFabric, startOvnFabric } from "@vdc-os/ovsdb/testing";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { OvnSwitch } from "../src/control/ovn-switch.ts";
import type { OvnConfig } from "../src/ovn-config.ts";

const context = createOperationContext();

/** A dummy device drops what exceeds a hundred frames waiting, and takes about one per turn of its daemon's loop. */
function paced(port: DummyPort): (frame: Uint8Array) => void {
  const waiting: Uint8Array[] = [];
  let timer: NodeJS.Timeout | undefined;
  return (frame) => {
    waiting.push(frame);
    timer ??= setInterval(() => {
      if (!port.closed) port.send(...waiting.splice(0, 10));
      if (waiting.length > 0 && !port.closed) return;
      clearInterval(timer);
      timer = undefined;
    }, 2);
  };
}

/** The config of a switch over a fabric. */
export function fabricConfig({ central, chassis }: OvnFabric): OvnConfig {
  return {
    name: "net",
    northbound: central.northbound.remote,
    southbound: central.southbound.remote,
    hosts: Object.fromEntries(
      chassis.map(({ name, openVswitch }) => [name, { openVswitch: openVswitch.database.remote }]),
    ),
    requestTimeoutMs: 10_000,
  };
}

/** OVN with two chassis, which outlives single switches: starting it takes seconds. */
export class TestFabric implements AsyncDisposable {
  readonly fabric: OvnFabric;
  #plugged = 0;

  private constructor(fabric: OvnFabric) {
    this.fabric = fabric;
  }

  static async start(): Promise<TestFabric> {
    return new TestFabric(await startOvnFabric());
  }

  get config(): OvnConfig {
    return fabricConfig(this.fabric);
  }

  /** An implementation that shares nothing with another: what an earlier one left is removed. */
  async instance(): Promise<NetworkInstance> {
    const { config } = this;
    let current = await OvnSwitch.open({ config });
    const plugged = new Map<string, { readonly chassis: number; readonly name: string; readonly port: DummyPort }>();
    return {
      implementation: current as DistributedSwitch,
      hosts: this.fabric.chassis.map(({ name }) => name),
      openNic: async ({ host, attachment }) => {
        if (attachment.kind !== "ovs") throw new Error("another attachment");
        const chassis = this.fabric.chassis.findIndex(({ name }) => name === host);
        this.#plugged += 1;
        const name = `nic${this.#plugged}`;
        const port = await this.fabric.chassis[chassis]?.openPort({ name, logicalPort: attachment.interfaceId });
        if (port === undefined) throw new Error(`no host '${host}'`);
        plugged.set(name, { chassis, name, port });
        const nic = {
          send: paced(port),
          onFrame: (_frame: Uint8Array): void => undefined,
          close: () => this.#unplug(chassis, name, port),
        };
        port.onFrame = (frame) => nic.onFrame(frame);
        return nic;
      },
      restart: async () => {
        const before = current;
        current = await OvnSwitch.open({ config });
        await before.close();
        return current;
      },
      dispose: async () => {
        for (const { chassis, name, port } of plugged.values()) await this.#unplug(chassis, name, port);
        for (const { switchId } of (await current.listSwitches({})).items) {
          await current.collectGarbage({ switchId, known: [] }, context);
          await current.removeSwitch({ switchId }, context);
        }
        await current.close();
      },
    };
  }

  async #unplug(chassis: number, name: string, port: DummyPort): Promise<void> {
    await port[Symbol.asyncDispose]();
    await this.fabric.chassis[chassis]?.openVswitch.vsctl("--if-exists", "del-port", "br-int", name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fabric[Symbol.asyncDispose]();
  }
}
