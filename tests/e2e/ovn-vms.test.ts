import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { use } from "@vdc-os/core/kernel";
import { type OvnFabric, startOvnFabric } from "@vdc-os/ovsdb/testing";
import ovn from "@vdc-os/plugin-ovn";
import type { Datacenter } from "@vdc-os/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { destroyBridgedDatacenter, startBridgedVms } from "../datacenter/bridged-vms.ts";
import { askGuest } from "../datacenter/guest.ts";
import { lacksTaps } from "../datacenter/lacks-taps.ts";
import { missingPrograms } from "@vdc-os/testing";
import { openBridgedDatacenter } from "../datacenter/open-bridged-datacenter.ts";
import { patienceMs } from "../datacenter/patience.ts";

const what = "that VMs of a datacenter are joined by OVN is not tested";
const programs = ["qemu-system-x86_64", "apt-get", "dpkg-deb", "ovs-vswitchd", "ovn-controller", "ovn-northd"];
const skip = missingPrograms(programs, what) || lacksTaps(what);

/** Has a guest ask for an address, take it, and say it. */
const askForAddress = `printf '#!/bin/sh\\n[ "$1" = bound ] && ip addr add $ip/24 dev $interface && echo $ip $router >/tmp/lease\\nexit 0\\n' >/tmp/dhcp;
  chmod +x /tmp/dhcp; udhcpc -i eth0 -n -q -t 20 -T 1 -s /tmp/dhcp; cat /tmp/lease`;

describe.skipIf(skip)("VMs of a datacenter on OVN", () => {
  let base: string;
  let fabric: OvnFabric;
  let dc: Datacenter;

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), "vo"));
    fabric = await startOvnFabric({ hostInterfaces: true });
    const { central, chassis } = fabric;
    const hosts = Object.fromEntries(
      chassis.map(({ name, openVswitch: { database } }) => [name, { openVswitch: database.remote }]),
    );
    const { remote: northbound } = central.northbound;
    const { remote: southbound } = central.southbound;
    const config = { name: "network", northbound, southbound, hosts, requestTimeoutMs: 10_000 };
    dc = await openBridgedDatacenter({ directory: join(base, "dc"), hosts: chassis, network: use(ovn, { config }) });
    const dhcp = {
      subnet: "203.0.113.0/24",
      serverAddress: "203.0.113.1",
      serverMac: "52:54:00:00:00:01",
      router: "203.0.113.1",
      dnsServers: ["203.0.113.2"],
      leaseSeconds: 3_600,
    };
    const addressing = (index: number) => ({ addresses: [`203.0.113.1${index}`] });
    await startBridgedVms(dc, { hosts: chassis, policy: { dhcp }, addressing });
  });

  afterAll(async () => {
    const left = await destroyBridgedDatacenter(dc, fabric.chassis);
    await fabric[Symbol.asyncDispose]();
    await rm(base, { recursive: true, force: true });
    expect(left).toEqual([]);
  });

  test("are claimed by their chassis, get their leases from OVN, and reach each other over two chassis", async () => {
    await expect.poll(async () => (await dc.switches.get("lan")).status.linksUp, { timeout: patienceMs }).toBe(2);
    expect(await askGuest(dc, "vm-1", askForAddress)).toBe("203.0.113.10 203.0.113.1");
    expect(await askGuest(dc, "vm-2", askForAddress)).toBe("203.0.113.11 203.0.113.1");
    expect(await askGuest(dc, "vm-1", "ping -c 1 -w 20 203.0.113.11 >/dev/null && echo yes || echo no")).toBe("yes");
  });
});
