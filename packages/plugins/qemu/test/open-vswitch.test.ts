import { once } from "node:events";
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import { killProcess } from "@vdc-os/core/local";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { findVmProcesses } from "../src/process-table.ts";
import type { QemuHypervisor } from "../src/qemu-hypervisor.ts";
import { BridgeHost, hasInterface, lacksOpenVswitch } from "./bridge-host.ts";
import { guestImage, guestSpec, lacksQemu } from "./guest.ts";
import { spawnRuntime } from "./spawn-runtime.ts";
import { consoleLine, operation, TestHost } from "./test-host.ts";

const skip = lacksQemu() || (await lacksOpenVswitch());

async function makeHost(openVswitch: string): Promise<TestHost> {
  const host = await TestHost.create({ openVswitch });
  onTestFinished(() => host.dispose());
  return host;
}

/** The moments between two steps that have to do with ports. */
const moments: readonly string[] = [
  // The port is there, and the guest does not run yet; it does, and that is not noted; it does no more, and the port is still there.
  ...["ports:1:after", "record:4:before", "ports:2:before"],
  // QEMU has just been started, and is noted; its tap is there; it runs, and that is noted; the end is intended; all is over.
  ...(process.env.VDC_DEEP
    ? ["spawn:1:after", "record:3:after", "ports:1:before", "record:4:after", "record:5:after", "ports:2:after"]
    : []),
];

const addressOf = (index: number): string => `203.0.113.${index}`;

async function specOf(bridge: string, index: number): Promise<VmSpec> {
  const attachment = { kind: "ovs", bridge, interfaceId: `port-${index}` } as const;
  const nics = [{ id: "nic0", mac: `52:54:00:00:0d:0${index}`, attachment }];
  return guestSpec(await guestImage(), `vdc.ip=${addressOf(index)}/24`, { nics });
}

async function createVm(hypervisor: QemuHypervisor, bridge: string, index: number): Promise<string> {
  const spec = await specOf(bridge, index);
  return (await hypervisor.createVm({ name: `vm-${index}`, spec }, operation())).vmId;
}

/** This machine's IPv4 addresses. */
function ownAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((each = []) => each);
  return all.filter(({ family, internal }) => family === "IPv4" && !internal).map(({ address }) => address);
}

let asked = 0;

/** Runs a command in a guest; whether it succeeds. */
async function succeeds(hypervisor: QemuHypervisor, vmId: string, command: string): Promise<boolean> {
  const tag = `ASKED-${asked++}`;
  await hypervisor.writeConsole({ vmId, text: `${command} >/dev/null 2>&1; echo ${tag} $? END\n` }, operation());
  const line = await consoleLine(hypervisor, vmId, new RegExp(`^${tag} \\d+ END$`), AbortSignal.timeout(40_000));
  return line.includes(" 0 ");
}

describe.skipIf(skip)("VMs on a bridge of Open vSwitch", () => {
  test("reach each other over a userspace datapath, and nothing of the host", async () => {
    const bridge = await BridgeHost.start("netdev");
    onTestFinished(() => bridge[Symbol.asyncDispose]());
    const host = await makeHost(bridge.remote);
    const hypervisor = await host.open();
    const { attributes } = await hypervisor.describe({ scope: {} }, operation());
    expect(attributes?.attachments).toEqual(["qemu-stream", "tap", "ovs"]);
    const vms: string[] = [];
    for (const index of [1, 2]) {
      const vmId = await createVm(hypervisor, bridge.bridge, index);
      await hypervisor.startVm({ vmId, generation: 1 }, operation());
      vms.push(vmId);
    }
    const [one = "", two = ""] = vms;
    const ports = await bridge.ports();
    expect(ports).toHaveLength(2);
    expect(ports.every(hasInterface)).toBe(true);
    for (const vmId of vms) await consoleLine(hypervisor, vmId, /^VDC-READY/);
    expect(await succeeds(hypervisor, one, `ping -c 1 -w 20 ${addressOf(2)}`)).toBe(true);
    // A host answers on any interface for all of its addresses, unless it is kept from that.
    for (const address of ownAddresses()) {
      const ask = `ip route add ${address} dev eth0; ping -c 1 -w 2 ${address}; ip neigh show ${address} | grep lladdr`;
      expect(await succeeds(hypervisor, one, ask)).toBe(false);
    }
    for (const tap of ports) {
      expect(readFileSync(`/proc/sys/net/ipv4/conf/${tap}/rp_filter`, "utf8").trim()).toBe("1");
    }
    await hypervisor.stopVm({ vmId: one, mode: "hard" }, operation());
    expect(await bridge.ports()).toHaveLength(1);
    await hypervisor.stopVm({ vmId: two, mode: "guest" }, operation());
    expect(await bridge.ports()).toEqual([]);
    expect(ports.some(hasInterface)).toBe(false);
  }, 120_000);
});

describe.skipIf(skip)("a VM on a bridge of Open vSwitch", () => {
  let bridge: BridgeHost;

  beforeAll(async () => {
    bridge = await BridgeHost.start();
  });

  afterAll(async () => {
    const ports = await bridge?.ports();
    await bridge?.[Symbol.asyncDispose]();
    expect(ports).toEqual([]);
  });

  /** The bridge's ports once they are as many. */
  async function portsOnce(count: number): Promise<readonly string[]> {
    await expect.poll(() => bridge.ports(), { timeout: 20_000 }).toHaveLength(count);
    return bridge.ports();
  }

  test("is a port as libvirt makes one, gets it back when somebody removes it, and loses it with its QEMU", async () => {
    const host = await makeHost(bridge.remote);
    const hypervisor = await host.open();
    const vmId = await createVm(hypervisor, bridge.bridge, 1);
    await hypervisor.startVm({ vmId, generation: 1 }, operation());
    const [tap = ""] = await bridge.ports();
    const ids = await bridge.interface(tap, "external_ids");
    for (const id of ["iface-id=port-1", "attached-mac=52:54:00:00:0d:01", "iface-status=active", "vm-id="]) {
      expect(ids).toContain(id);
    }
    await bridge.openVswitch.vsctl("set", "Interface", tap, "external_ids:iface-id=other", "external_ids:ovn=kept");
    await expect.poll(() => bridge.interface(tap, "external_ids"), { timeout: 20_000 }).toMatch(/port-1.*ovn=kept/);
    await bridge.openVswitch.vsctl("del-port", bridge.bridge, tap);
    expect(await portsOnce(1)).toEqual([tap]);
    await hypervisor.close();
    expect(await bridge.ports()).toEqual([tap]);
    const again = await host.open();
    expect(await bridge.ports()).toEqual([tap]);
    const [process] = await findVmProcesses(host.directory);
    await killProcess(process!);
    await portsOnce(0);
    expect(hasInterface(tap)).toBe(false);
    await expect.poll(async () => (await again.getVm({ vmId }, operation())).state).toBe("crashed");
  }, 60_000);

  test("is stopped while the database is away, and its port goes when that is back", async () => {
    const host = await makeHost(bridge.remote);
    const hypervisor = await host.open();
    const vmId = await createVm(hypervisor, bridge.bridge, 1);
    await hypervisor.startVm({ vmId, generation: 1 }, operation());
    await bridge.openVswitch.database.kill();
    expect((await hypervisor.stopVm({ vmId, mode: "hard" }, operation())).state).toBe("off");
    const start = hypervisor.startVm({ vmId, generation: 2 }, operation());
    await expect(start).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_OPEN_VSWITCH" });
    await bridge.openVswitch.database.start();
    await portsOnce(0);
    await expect
      .poll(() => hypervisor.startVm({ vmId, generation: 2 }, operation()).catch(String), { timeout: 20_000 })
      .toMatchObject({ state: "running" });
    expect(await bridge.ports()).toHaveLength(1);
    await hypervisor.stopVm({ vmId, mode: "hard" }, operation());
  }, 60_000);

  test("is not started without its link, and leaves nothing", async () => {
    const host = await makeHost(bridge.remote);
    const hypervisor = await host.open();
    const nowhere = await createVm(hypervisor, "no-such-bridge", 2);
    await expect(hypervisor.startVm({ vmId: nowhere, generation: 1 }, operation())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("it has no bridge 'no-such-bridge'"),
    });
    const vmId = await createVm(hypervisor, bridge.bridge, 1);
    await bridge.openVswitch.switchd.kill();
    await expect(hypervisor.startVm({ vmId, generation: 1 }, operation())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: expect.stringContaining("ovs-vswitchd"),
    });
    await bridge.openVswitch.switchd.start();
    expect(await bridge.ports()).toEqual([]);
    expect(await findVmProcesses(host.directory)).toEqual([]);
  }, 60_000);

  test("waits for a database that has never been there, and its host can be closed meanwhile", async () => {
    const host = await TestHost.create({ openVswitch: "unix:/nowhere/db.sock" });
    const hypervisor = await host.open();
    const vmId = await createVm(hypervisor, bridge.bridge, 1);
    await expect(hypervisor.startVm({ vmId, generation: 1 }, operation())).rejects.toMatchObject({
      code: "UNAVAILABLE",
      message: "this host's Open vSwitch can't be used: 'unix:/nowhere/db.sock' does not answer",
    });
    expect((await hypervisor.getVm({ vmId }, operation())).state).toBe("off");
    await expect(host.dispose()).rejects.toMatchObject({ code: "UNAVAILABLE" });
  }, 30_000);

  test("is a port no more after a kill of both its QEMU and the runtime, and ports of others stay", async () => {
    const host = await makeHost(bridge.remote);
    const spec = await specOf(bridge.bridge, 1);
    const child = spawnRuntime(host, { spec });
    onTestFinished(() => void child.kill("SIGKILL"));
    await once(child.stdout!, "data");
    const marks = ["--", "set", "Port", "others", 'external_ids:"vdc:host-directory"="/elsewhere"'];
    const kind = ["--", "set", "Interface", "others", "type=dummy"];
    await bridge.openVswitch.vsctl("add-port", bridge.bridge, "others", ...kind, ...marks);
    child.kill("SIGKILL");
    await once(child, "exit");
    for (const process of await findVmProcesses(host.directory)) await killProcess(process);
    expect(await bridge.ports()).toHaveLength(2);
    await host.open();
    expect(await portsOnce(1)).toEqual(["others"]);
    await bridge.openVswitch.vsctl("del-port", "others");
  }, 60_000);

  test.each(moments)(
    "is a port exactly while it runs after a kill of the runtime at '%s'",
    async (moment) => {
      const host = await makeHost(bridge.remote);
      const child = spawnRuntime(host, { spec: await specOf(bridge.bridge, 1), moment });
      onTestFinished(() => void child.kill("SIGKILL"));
      const [, signal] = await once(child, "exit");
      expect(signal, "the moment must come").toBe("SIGKILL");
      const hypervisor = await host.open();
      const [found] = (await hypervisor.listVms({}, operation())).items;
      expect(["off", "running"]).toContain(found?.state);
      const ports = await portsOnce(found?.state === "running" ? 1 : 0);
      expect(ports.every(hasInterface)).toBe(true);
      await hypervisor.stopVm({ vmId: found?.vmId ?? "", mode: "hard" }, operation());
      expect(await bridge.ports()).toEqual([]);
      expect(ports.some(hasInterface)).toBe(false);
    },
    60_000,
  );
});
