import { type Clock, createOperationContext } from "@vdc-os/core";
import type { ConnectPort, PortSetting, SwitchSpec, SwitchStatus } from "@vdc-os/core/network/v1";
import type { DummyPort } from "@vdc-os/ovsdb/testing";
import type { DesiredStateStore } from "../src/control/desired-state.ts";
import { bridgeName } from "../src/control/names.ts";
import { OpenVswitchSwitch } from "../src/control/openvswitch-switch.ts";
import type { OpenVswitchFabric } from "./openvswitch-fabric.ts";
import { configOf, memoryStore } from "./openvswitch-instance.ts";

/** A setting that lets everything pass but what a VM makes up. */
export const open: PortSetting = {
  vlan: { kind: "none" },
  blocked: false,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
};

/** The switch of these tests. */
export const switchId = "lan";
/** Its bridge, on every host. */
export const bridge: string = bridgeName("net", switchId);

/** A switch of two hosts, with a group that is open and one with a setting of its own. */
export function specOf(setting: PortSetting = open): SwitchSpec {
  return {
    switchId,
    name: switchId,
    mtu: 1400,
    transport: "overlay",
    members: ["host-1", "host-2"].map((host) => ({ host, uplinks: [] })),
    portGroups: [
      { key: "plain", name: "plain", binding: "ephemeral", setting: open },
      { key: "special", name: "special", binding: "ephemeral", setting },
    ],
  };
}

/** A port by its number. */
export function portOf(number: number, more: Partial<ConnectPort> = {}): ConnectPort {
  const mac = `52:54:00:00:${Buffer.from([number >> 8, number & 0xff])
    .toString("hex")
    .replace(/^../, "$&:")}`;
  return { switchId, portGroup: "plain", portKey: `p${number}`, host: "host-1", mac, generation: 1, ...more };
}

/** Resolves when the watch tells a status that is so. */
export async function untilStatus(control: OpenVswitchSwitch, holds: (status: SwitchStatus) => boolean): Promise<void> {
  const context = createOperationContext({ timeoutMs: 120_000 });
  for await (const item of control.watchSwitch({ switchId }, context)) {
    if (item.type !== "resync" && holds(item.object)) return;
  }
  throw new Error("the status did not come to be so");
}

/** Whether every member is up. */
export const isUp = ({ members }: SwitchStatus): boolean => members.every(({ state }) => state === "up");

/** What one test opens on a fabric; all of it goes with the session. */
export class SwitchSession implements AsyncDisposable {
  readonly fabric: OpenVswitchFabric;
  readonly #opened: OpenVswitchSwitch[] = [];
  readonly #nics: { readonly name: string; readonly host: string; readonly port: DummyPort }[] = [];

  constructor(fabric: OpenVswitchFabric) {
    this.fabric = fabric;
  }

  async start(store: DesiredStateStore = memoryStore(), more: object = {}, clock?: Clock): Promise<OpenVswitchSwitch> {
    const config = { ...configOf(this.fabric), ...more };
    const { signal } = new AbortController();
    const control = await OpenVswitchSwitch.open({ config, store, signal, ...(clock === undefined ? {} : { clock }) });
    this.#opened.push(control);
    return control;
  }

  /** Connects a port, plugs its NIC in, and waits for the link. */
  async plug(control: OpenVswitchSwitch, input: ConnectPort): Promise<DummyPort> {
    const { attachment, host } = await control.connectPort(input, createOperationContext());
    if (attachment.kind !== "ovs") throw new Error("another attachment");
    const name = `t-${input.portKey}`;
    const port = await this.fabric.plug(host, { ...attachment, name });
    this.#nics.push({ name, host, port });
    await untilStatus(control, ({ ports }) =>
      ports.some(({ portKey, link }) => portKey === input.portKey && link === "up"),
    );
    return port;
  }

  flowsOf(host: string): Promise<string> {
    return this.fabric.host(host).openVswitch.ofctl("dump-flows", bridge, "-OOpenFlow13");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { name, host, port } of this.#nics) {
      await port[Symbol.asyncDispose]();
      await this.fabric.unplug(host, name);
    }
    for (const control of this.#opened) await control.close();
    for (const { openVswitch } of this.fabric.hosts) await openVswitch.vsctl("--if-exists", "del-br", bridge);
  }
}
