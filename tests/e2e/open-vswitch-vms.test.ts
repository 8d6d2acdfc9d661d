import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import openVswitch from "@vdc-os/plugin-openvswitch";
import type { Datacenter } from "@vdc-os/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type OpenVswitchFabric, startOpenVswitchFabric } from "../certificates/open-vswitch-fabric.ts";
import { destroyBridgedDatacenter, startBridgedVms } from "../datacenter/bridged-vms.ts";
import { askGuest } from "../datacenter/guest.ts";
import { lacksTaps } from "../datacenter/lacks-taps.ts";
import { missingPrograms } from "@vdc-os/testing";
import { type BridgedHost, openBridgedDatacenter, tapsOf } from "../datacenter/open-bridged-datacenter.ts";
import { findProcesses, killProcess } from "../datacenter/owned-processes.ts";
import { patienceMs } from "../datacenter/patience.ts";

const what = "that VMs of a datacenter are joined by Open vSwitch is not tested";
const programs = ["qemu-system-x86_64", "apt-get", "dpkg-deb", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl"];
const skip = missingPrograms(programs, what) || lacksTaps(what);

const canPing = (address: string): string => `ping -c 1 -w 20 ${address} >/dev/null && echo yes || echo no`;

describe.skipIf(skip)("VMs of a datacenter on Open vSwitch", () => {
  let base: string;
  let fabric: OpenVswitchFabric;
  let dc: Datacenter;

  const host = (name: string): BridgedHost => {
    const found = fabric.hosts.find((each) => each.name === name);
    if (found === undefined) throw new Error(`no host '${name}'`);
    return found;
  };
  const open = (): Promise<Datacenter> => {
    const hosts = Object.fromEntries(
      fabric.hosts.map(({ name, openVswitch: { database }, tunnelAddress }) => [
        name,
        { openVswitch: database.remote, tunnelAddress, datapathType: "dummy" },
      ]),
    );
    return openBridgedDatacenter({
      directory: join(base, "dc"),
      hosts: fabric.hosts,
      network: use(openVswitch, { config: { name: "network", hosts, requestTimeoutMs: 10_000 } }),
    });
  };
  const processOf = async (kind: "qemu" | "runtime", name: string): Promise<number> => {
    const found = (await findProcesses(join(base, "dc"))).filter(({ what: is }) => is === kind);
    const own = found.filter(({ owner, command }) =>
      kind === "qemu" ? owner?.split("/")[1] === name : command.includes(name),
    );
    expect(own).toHaveLength(1);
    return own[0]?.pid ?? 0;
  };
  const startOf = async (name: string): Promise<number> => (await dc.vms.get(name)).status.startedAt ?? 0;

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), "vb"));
    fabric = await startOpenVswitchFabric({ hostInterfaces: true });
    dc = await open();
    const addressing = (index: number) => ({ commandLine: `vdc.ip=203.0.113.${index + 1}/24` });
    await startBridgedVms(dc, { hosts: fabric.hosts, addressing });
  });

  afterAll(async () => {
    const left = await destroyBridgedDatacenter(dc, fabric.hosts);
    await fabric[Symbol.asyncDispose]();
    await rm(base, { recursive: true, force: true });
    expect(left).toEqual([]);
  });

  test("reach each other over two hosts", async () => {
    expect(await askGuest(dc, "vm-1", canPing("203.0.113.2"))).toBe("yes");
    const [tap = ""] = await tapsOf(host("host-1"));
    expect(readFileSync(`/sys/class/net/${tap}/mtu`, "utf8").trim()).toBe("1400");
    expect(await askGuest(dc, "vm-1", "cat /sys/class/net/eth0/mtu")).toBe("1400");
    const linksUp = async () => (await dc.switches.get("lan")).status.linksUp;
    await expect.poll(linksUp, { timeout: patienceMs }).toBe(2);
  });

  test("keep their link when a host's runtime is killed, and when the manager leaves", async () => {
    const [tap] = await tapsOf(host("host-1"));
    killProcess(await processOf("runtime", "host-1"));
    expect(await askGuest(dc, "vm-2", canPing("203.0.113.1"))).toBe("yes");
    await dc.close();
    dc = await open();
    expect(await tapsOf(host("host-1"))).toEqual([tap]);
    await expect
      .poll(() => askGuest(dc, "vm-1", canPing("203.0.113.2")).catch(() => "not yet"), { timeout: patienceMs })
      .toBe("yes");
  });

  test("whose QEMU is killed have a link again when they are started again, and no other", async () => {
    const before = await startOf("vm-1");
    killProcess(await processOf("qemu", "host-1"));
    await expect.poll(() => startOf("vm-1"), { timeout: patienceMs }).toBeGreaterThan(before);
    await dc.vms.waitForConsole("vm-1", /VDC-READY/, { timeoutMs: patienceMs });
    expect(await tapsOf(host("host-1"))).toHaveLength(1);
    expect(await askGuest(dc, "vm-1", canPing("203.0.113.2"))).toBe("yes");
  });

  test("leave nothing when they are switched off", async () => {
    const [tap = ""] = await tapsOf(host("host-2"));
    expect(existsSync(`/sys/class/net/${tap}`)).toBe(true);
    const { task } = await dc.vms.apply("vm-2", { power: "off" });
    await task.wait({ timeoutMs: patienceMs });
    expect(await tapsOf(host("host-2"))).toEqual([]);
    expect(existsSync(`/sys/class/net/${tap}`)).toBe(false);
  });
});
