import { execFileSync } from "node:child_process";
import type { SwitchSpec } from "@vdc-os/core/network/v1";
import { describe, expect, it } from "vitest";
import { HostInterface } from "../../src/wire/tap/host-interface.ts";
import { SwitchCluster, testSpec } from "../switch-cluster.ts";
import { hasMacvtap, InterfaceWire } from "./interface-wire.ts";

function uplinkSpec(interfaces: readonly string[]): SwitchSpec {
  const hosts = ["a", "b"];
  return testSpec(hosts, {
    transport: "uplinks",
    mtu: 8000,
    members: hosts.map((host, at) => {
      const backing = { kind: "interface", interfaceName: interfaces[at] ?? "" } as const;
      return { host, uplinks: [{ name: "up0", backing }] };
    }),
  });
}

const nothing = { onFrame: () => undefined, onBatchEnd: () => undefined };

describe.runIf(hasMacvtap())("a switch whose hosts are joined by a physical network", () => {
  it("carries VLANs over interfaces of the hosts, and follows their carriers", async () => {
    using wire = new InterfaceWire();
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(uplinkSpec([wire.a, wire.b]), 1);
    await cluster.allUp(1);
    const one = await cluster.plug("nic1", "a", { portGroup: "red" });
    const two = await cluster.plug("nic2", "b", { portGroup: "red" });
    const other = await cluster.plug("nic3", "b", { portGroup: "blue" });
    await exchange(one, two);
    expect(other.texts).toEqual([]);

    // The far end is switched off: this end loses its carrier, and says so.
    execFileSync("ip", ["link", "set", wire.b, "down"]);
    const member = (host: string, state: string, detail: string): Promise<unknown> =>
      cluster.status(({ members }) =>
        members.some((each) => each.host === host && each.state === state && each.detail === detail),
      );
    await member("a", "warning", "uplink 'up0' has no link: no carrier: nothing is at its other end");
    execFileSync("ip", ["link", "set", wire.b, "up"]);
    await cluster.allUp(1);
    await exchange(one, two, " again");
  });

  it("is given back when the switch lets go of it, also after kill -9 of the process that had it", async () => {
    using wire = new InterfaceWire();
    await using cluster = await SwitchCluster.create();
    const host = cluster.addSpawnedHost("a");
    cluster.addHost("b");
    await cluster.apply(uplinkSpec([wire.a, wire.b]), 1);
    await cluster.allUp(1);
    await expect(HostInterface.open({ interfaceName: wire.a, ...nothing })).rejects.toMatchObject({
      message: expect.stringContaining("another switch, or another port, of this host has it"),
    });
    const one = await cluster.plug("nic1", "a", { portGroup: "red" });
    const two = await cluster.plug("nic2", "b", { portGroup: "red" });
    host.kill("SIGKILL");
    await one.until(({ connections, connected }) => connections >= 2 && connected);
    await exchange(one, two);
    for (const key of ["nic1", "nic2"]) {
      await cluster.control.disconnectPort({ switchId: "sw", portKey: key, generation: 1 }, cluster.operation());
    }
    await cluster.apply(testSpec(["a", "b"]), 2);
    await cluster.allUp(2);
    await using freed = await HostInterface.open({ interfaceName: wire.a, ...nothing });
    expect(freed.interfaceName).toBe(wire.a);
  });
});

it("a host that has no such interface is in force but for it, and says why", async () => {
  await using cluster = await SwitchCluster.create(["a", "b"]);
  await cluster.apply(uplinkSpec(["vdc-no-such-a", "vdc-no-such-b"]), 1);
  const { members } = await cluster.status(({ members }) => members.every(({ state }) => state === "warning"));
  expect(members[0]).toMatchObject({
    realizedGeneration: 1,
    detail: expect.stringContaining("uplink 'up0' has no link: "),
  });
  const one = await cluster.plug("nic1", "a");
  const two = await cluster.plug("nic2", "a");
  one.say("within the host", "all");
  await two.heard("within the host");
  const problems = await cluster.control.validateSwitch({ spec: uplinkSpec(["eth/0", "eth1"]) }, cluster.operation());
  expect(problems).toEqual([
    { path: "members[0].uplinks[0].backing", message: "'eth/0' can't be the name of an interface" },
  ]);
});

type Nic = Awaited<ReturnType<SwitchCluster["plug"]>>;

/** Says it until it is heard: the kernel activates a new link when it comes to that, and until then frames are lost. */
async function exchange(one: Nic, two: Nic, when = ""): Promise<void> {
  for (const [from, to, text] of [
    [one, two, `one${when}`],
    [two, one, `two${when}`],
  ] as const) {
    from.say(text, "all");
    const again = setInterval(() => from.say(text, "all"), 20);
    await to.heard(text).finally(() => clearInterval(again));
  }
}
