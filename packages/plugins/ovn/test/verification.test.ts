import { createOperationContext } from "@vdc-os/core";
import type { ConnectPort, PortSetting, SwitchSpec, SwitchStatus } from "@vdc-os/core/network/v1";
import {
  type DummyPort,
  missingPrograms,
  type OvnChassis,
  type OvnFabric,
  startOvnFabric,
} from "@vdc-os/ovsdb/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OvnSwitch } from "../src/control/ovn-switch.ts";
import { fabricConfig } from "./ovn-instance.ts";

const missing = missingPrograms("ovn");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: what OVN acknowledges, and what is in force`);
}

const switchId = "lan";
const setting: PortSetting = {
  vlan: { kind: "none" },
  blocked: false,
  security: { promiscuous: false, forgedTransmits: false, macChanges: false },
  dhcp: {
    subnet: "192.0.2.0/24",
    serverAddress: "192.0.2.1",
    serverMac: "52:54:00:00:00:01",
    dnsServers: [],
    leaseSeconds: 60,
  },
  filters: [
    {
      name: "web",
      direction: "in",
      match: { protocol: 6, destinationPorts: { from: 80, to: 90 } },
      action: { kind: "drop" },
    },
    {
      name: "never",
      direction: "out",
      match: { sourcePrefix: "192.0.2.0/24", destinationPrefix: "2001:db8::/32" },
      action: { kind: "drop" },
    },
  ],
  shapingIn: { averageBitsPerSecond: 1e7, peakBitsPerSecond: 1e7, burstBytes: 100_000, packetsPerSecond: 0 },
};

function specOf(name: string): SwitchSpec {
  return {
    switchId,
    name,
    mtu: 1_400,
    transport: "overlay",
    members: ["chassis-1", "chassis-2"].map((host) => ({ host, uplinks: [] })),
    portGroups: [{ key: "vms", name: "vms", binding: "ephemeral", setting }],
  };
}

function portOf(number: number): ConnectPort {
  const host = `chassis-${number}`;
  return { switchId, portGroup: "vms", portKey: `p${number}`, host, mac: `52:54:00:00:00:1${number}`, generation: 1 };
}

/** The first status, told by the watch, that is so. */
async function untilStatus(ovn: OvnSwitch, holds: (status: SwitchStatus) => boolean): Promise<SwitchStatus> {
  const context = createOperationContext({ timeoutMs: 120_000 });
  let last: SwitchStatus | undefined;
  for await (const item of ovn.watchSwitch({ switchId }, context)) {
    if (item.type === "resync") continue;
    last = item.object;
    if (holds(last)) return last;
  }
  throw new Error(`the status did not come to be so: ${JSON.stringify(last)}`);
}

const isWhole = ({ members, ports }: SwitchStatus): boolean =>
  members.every(({ state }) => state === "up") && ports.length === 2 && ports.every(({ link }) => link === "up");

describe.skipIf(missing.length > 0)("what is in force on OVN's chassis", () => {
  let fabric: OvnFabric;
  let ovn: OvnSwitch;
  const nics: DummyPort[] = [];

  beforeAll(async () => {
    fabric = await startOvnFabric();
    ovn = await OvnSwitch.open({ config: fabricConfig(fabric) });
    await ovn.applySwitch({ spec: specOf("lan"), generation: 1 }, createOperationContext());
    for (const number of [1, 2]) {
      const { attachment } = await ovn.connectPort(portOf(number), createOperationContext());
      const logicalPort = attachment.kind === "ovs" ? attachment.interfaceId : "";
      const nic = await fabric.chassis[number - 1]?.openPort({ name: `nic${number}`, logicalPort });
      if (nic !== undefined) nics.push(nic);
    }
    await untilStatus(ovn, isWhole);
  });
  afterAll(async () => {
    for (const nic of nics) await nic[Symbol.asyncDispose]();
    await ovn.close();
    await fabric[Symbol.asyncDispose]();
  });

  it("is not what a chassis acknowledges that could not translate it", async () => {
    const { nbctl } = fabric.central;
    const [uuid = ""] = (await nbctl("--bare", "--columns=_uuid", "find", "DHCP_Options")).split("\n");
    await nbctl("set", "DHCP_Options", uuid, "options:bootfile_name=pxe/boot.0");
    // OVN says that every chassis has done it.
    await nbctl("--wait=hv", "sync");
    const { members, ports } = await untilStatus(ovn, (status) =>
      status.members.every(({ state }) => state === "outOfSync"),
    );
    expect(members[0]?.detail).toMatch(
      /chassis 'chassis-1' has acknowledged logical flow 0x[0-9a-f]+ \(ls_in_dhcp_options\)/,
    );
    expect(ports.map(({ portKey, link, problem }) => [portKey, link, problem])).toEqual([
      ["p1", "down", members[0]?.detail],
      ["p2", "down", members[1]?.detail],
    ]);
    await ovn.applySwitch({ spec: specOf("while it is so"), generation: 2 }, createOperationContext());
    const next = await untilStatus(ovn, ({ desiredGeneration }) => desiredGeneration === 2);
    expect(next.members.map(({ realizedGeneration }) => realizedGeneration)).toEqual([1, 1]);
    await nbctl("remove", "DHCP_Options", uuid, "options", "bootfile_name");
    await untilStatus(ovn, isWhole);
  });

  it("is what bridges hold again after ovn-northd, ovn-controller or a database was killed", async () => {
    const { northd, northbound, southbound } = fabric.central;
    const [first] = fabric.chassis;
    let generation = 10;
    for (const daemon of [northd, first?.controller, southbound, northbound]) {
      await daemon?.kill();
      // A change on its way meanwhile is in force afterwards, or was refused.
      const meanwhile = applied(generation + 1);
      await daemon?.start();
      await meanwhile;
      generation += 2;
      await expect.poll(() => applied(generation)).toBe(generation);
      await untilRealized(generation);
    }
    const [one, two] = nics;
    const frame = Buffer.from(`ffffffffffff${portOf(1).mac.replaceAll(":", "")}88b5`.padEnd(120, "0"), "hex");
    await expect
      .poll(() => {
        one?.send(frame);
        return two?.frames.some((each) => each.equals(frame));
      })
      .toBe(true);
  });

  it("is nothing while ovs-vswitchd is dead, and all of it when it is there again", async () => {
    const { switchd } = (fabric.chassis[1] as OvnChassis).openVswitch;
    await switchd.kill();
    const { members } = await untilStatus(ovn, (status) => status.members[1]?.state === "outOfSync");
    expect(members[1]?.detail).toContain("its flows can't be verified");
    expect(members[0]?.state).toBe("up");
    await switchd.start();
    await untilStatus(ovn, isWhole);
  });

  async function applied(generation: number): Promise<number> {
    const spec = specOf(`change ${generation}`);
    return (await ovn.applySwitch({ spec, generation }, createOperationContext()).catch(() => ({ generation: 0 })))
      .generation;
  }

  async function untilRealized(generation: number): Promise<void> {
    await untilStatus(ovn, (status) => {
      return isWhole(status) && status.members.every((member) => member.realizedGeneration === generation);
    });
  }
});
