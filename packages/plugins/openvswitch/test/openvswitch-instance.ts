import { createOperationContext } from "@vdc-os/core";
import type { DummyPort } from "@vdc-os/ovsdb/testing";
import type { NetworkInstance } from "@vdc-os/ready/network";
import { MemoryStateStore } from "@vdc-os/ready/state";
import type { DesiredStateStore } from "../src/control/desired-state.ts";
import { OpenVswitchSwitch } from "../src/control/openvswitch-switch.ts";
import type { OpenVswitchConfig } from "../src/openvswitch-config.ts";
import type { OpenVswitchFabric } from "./openvswitch-fabric.ts";

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
export function configOf({ hosts }: OpenVswitchFabric): OpenVswitchConfig {
  return {
    name: "net",
    hosts: Object.fromEntries(
      hosts.map(({ name, openVswitch, tunnelAddress }) => [
        name,
        { openVswitch: openVswitch.database.remote, tunnelAddress, datapathType: "dummy" },
      ]),
    ),
    requestTimeoutMs: 10_000,
  };
}

/** A state store in memory, as a plugin gets one. */
export function memoryStore(): DesiredStateStore {
  const store = new MemoryStateStore();
  return {
    list: (input, options) => store.list(input, createOperationContext(options)),
    transact: (input, options) => store.transact(input, createOperationContext(options)),
  };
}

let plugged = 0;

/** An implementation that shares nothing with another: its bridges are gone when it is disposed of. */
export async function openInstance(fabric: OpenVswitchFabric): Promise<NetworkInstance> {
  const config = configOf(fabric);
  const store = memoryStore();
  const signal = new AbortController().signal;
  let current = await OpenVswitchSwitch.open({ config, store, signal });
  const nics = new Map<string, { readonly host: string; readonly port: DummyPort }>();
  const unplug = async (name: string): Promise<void> => {
    const nic = nics.get(name);
    nics.delete(name);
    if (nic === undefined) return;
    await nic.port[Symbol.asyncDispose]();
    await fabric.unplug(nic.host, name);
  };
  return {
    implementation: current,
    hosts: fabric.hosts.map(({ name }) => name),
    openNic: async ({ host, attachment }) => {
      if (attachment.kind !== "ovs") throw new Error("another attachment");
      plugged += 1;
      const name = `nic${plugged}`;
      const port = await fabric.plug(host, { ...attachment, name });
      nics.set(name, { host, port });
      const nic = {
        send: paced(port),
        onFrame: (_frame: Uint8Array): void => undefined,
        close: () => unplug(name),
      };
      port.onFrame = (frame) => nic.onFrame(frame);
      return nic;
    },
    restart: async () => {
      const before = current;
      current = await OpenVswitchSwitch.open({ config, store, signal });
      await before.close();
      return current;
    },
    dispose: async () => {
      await Promise.all([...nics.keys()].map(unplug));
      await current.close();
      for (const { openVswitch } of fabric.hosts) {
        const bridges = (await openVswitch.vsctl("list-br")).split("\n").filter((name) => name.startsWith("vdc-"));
        if (bridges.length > 0) await openVswitch.vsctl(...bridges.flatMap((name) => ["--", "del-br", name]));
      }
    },
  };
}
