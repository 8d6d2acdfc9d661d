import type { VmSpec } from "@vdc-os/core/compute/v1";
import { describe, expect, onTestFinished, test } from "vitest";
import type { QemuHypervisor } from "../src/qemu-hypervisor.ts";
import { BridgeHost, hasInterface, lacksOpenVswitch } from "./bridge-host.ts";
import { guestImage, guestSpec, lacksQemu } from "./guest.ts";
import { consoleLine, operation, TestHost } from "./test-host.ts";

const skip = lacksQemu() || (await lacksOpenVswitch());

async function makeBridge(datapathType?: string): Promise<BridgeHost> {
  const bridge = await BridgeHost.start(datapathType);
  onTestFinished(() => bridge[Symbol.asyncDispose]());
  return bridge;
}

async function makeHost(change: Parameters<typeof TestHost.create>[0]): Promise<TestHost> {
  const host = await TestHost.create(change);
  onTestFinished(() => host.dispose());
  return host;
}

const macOf = (index: number): string => `52:54:00:00:0d:0${index}`;
const addressOf = (index: number): string => `192.0.2.${index}`;

async function specOf(bridge: string, index: number): Promise<VmSpec> {
  const attachment = { kind: "ovs", bridge, interfaceId: `port-${index}` } as const;
  const nics = [{ id: "nic0", mac: macOf(index), attachment }];
  return guestSpec(await guestImage(), `vdc.ip=${addressOf(index)}/24`, { nics });
}

async function startVm(hypervisor: QemuHypervisor, bridge: string, index: number): Promise<string> {
  const spec = await specOf(bridge, index);
  const { vmId } = await hypervisor.createVm({ name: `vm-${index}`, spec }, operation());
  await hypervisor.startVm({ vmId, generation: 1 }, operation());
  return vmId;
}

let asked = 0;

/** Whether a guest gets answers from an address. */
async function canPing(hypervisor: QemuHypervisor, vmId: string, address: string): Promise<boolean> {
  const tag = `PING-${asked++}`;
  const text = `ping -c 1 -w 10 ${address} >/dev/null; echo ${tag} $? END\n`;
  await hypervisor.writeConsole({ vmId, text }, operation());
  const line = await consoleLine(hypervisor, vmId, new RegExp(`^${tag} \\d+ END$`), AbortSignal.timeout(20_000));
  return line.includes(" 0 ");
}

describe.skipIf(skip)("VMs on Open vSwitch", () => {
  test.each(["dummy", "netdev"])(
    "reach each other, and are ports for as long as they run (%s)",
    async (datapath) => {
      const bridge = await makeBridge(datapath);
      const host = await makeHost({ openVswitch: bridge.remote });
      const hypervisor = await host.open();
      const { attributes } = await hypervisor.describe({}, operation());
      expect(attributes?.attachments).toEqual(["qemu-stream", "tap", "ovs"]);
      const one = await startVm(hypervisor, bridge.bridge, 1);
      const two = await startVm(hypervisor, bridge.bridge, 2);
      const ports = await bridge.ports();
      expect(ports).toHaveLength(2);
      expect(ports.every(hasInterface)).toBe(true);
      for (const vmId of [one, two]) await consoleLine(hypervisor, vmId, /^VDC-READY/);
      expect(await canPing(hypervisor, one, addressOf(2))).toBe(true);
      await hypervisor.stopVm({ vmId: one, mode: "hard" }, operation());
      expect(await bridge.ports()).toHaveLength(1);
      await hypervisor.stopVm({ vmId: two, mode: "hard" }, operation());
      expect(await bridge.ports()).toEqual([]);
      expect(ports.some(hasInterface)).toBe(false);
    },
    90_000,
  );
});
