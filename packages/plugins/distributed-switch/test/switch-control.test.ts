import { describe, expect, it } from "vitest";
import type { FakeNic } from "./fake-nic.ts";
import { openSetting, SwitchCluster, testSpec } from "./switch-cluster.ts";

describe("the control side of the switch", () => {
  it("joins VMs on two hosts, each VLAN apart", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    const [one, two, three] = await Promise.all([
      cluster.plug("nic-1", "a", { portGroup: "red" }),
      cluster.plug("nic-2", "b", { portGroup: "red" }),
      cluster.plug("nic-3", "b", { portGroup: "blue" }),
    ]);
    one.say("hello", "all");
    await two.heard("hello");
    two.say("back", one);
    await one.heard("back");
    two.say("end", "all");
    await one.heard("end");
    expect(three.texts).toEqual([]);
    const { ports } = await cluster.status(({ ports }) => ports.every(({ link }) => link === "up"));
    expect(ports.map(({ portKey, problem }) => [portKey, problem])).toEqual([
      ["nic-1", undefined],
      ["nic-2", undefined],
      ["nic-3", undefined],
    ]);
  });

  it("keeps what was acknowledged when the manager ends, and what it finds as it should be untouched", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 3);
    await cluster.allUp(3);
    const one = await cluster.plug("nic-1", "a");
    const two = await cluster.plug("nic-2", "b");
    await cluster.restartManager();
    await cluster.allUp(3);
    one.say("still", "all");
    await two.heard("still");
    expect([one.connections, two.connections]).toEqual([1, 1]);
    expect(await cluster.connect("nic-1", "a")).toMatchObject({ generation: 1, fencing: "enforced" });
    await expect(cluster.apply(testSpec(["a"]), 2)).rejects.toMatchObject({ code: "ABORTED" });
  });

  it("goes on after the data plane was killed, before and without the manager", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    const one = await cluster.plug("nic-1", "a");
    const two = await cluster.plug("nic-2", "b");
    one.say("before", "all");
    await two.heard("before");
    const before = await cluster.control.portStatistics({ switchId: "sw" }, cluster.operation());
    await cluster.control.close();
    await cluster.host("a").restart();
    await cluster.host("a").linksUp();
    one.say("without", "all");
    await two.heard("without");
    await cluster.restartManager();
    // What was told is kept through a kill; what was counted since is not, but for what is written now and then.
    await cluster.control.portStatistics({ switchId: "sw" }, cluster.operation());
    await cluster.host("b").restart();
    await cluster.host("b").linksUp();
    one.say("with", "all");
    await two.heard("with");
    const after = await cluster.control.portStatistics({ switchId: "sw" }, cluster.operation());
    expect(before.map(({ framesIn, framesOut }) => [framesIn, framesOut])).toEqual([
      ["1", "0"],
      ["0", "1"],
    ]);
    expect(after.map(({ framesIn, framesOut }) => [framesIn, framesOut])).toEqual([
      ["3", "0"],
      ["0", "3"],
    ]);
  });

  it("moves a port to the newer owner, cuts the older one off, and counts on", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    const old = await cluster.plug("nic-1", "a");
    const two = await cluster.plug("nic-2", "b");
    old.say("old", "all");
    await two.heard("old");
    const moved = await cluster.plug("nic-1", "b", { generation: 2 });
    await old.until(({ connected }) => !connected);
    moved.say("new", "all");
    await two.heard("new");
    await expect(cluster.connect("nic-1", "a")).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      reason: "VDC_FENCED",
    });
    const [statistics] = await cluster.control.portStatistics(
      { switchId: "sw", portKeys: ["nic-1"] },
      cluster.operation(),
    );
    expect(statistics).toMatchObject({ portKey: "nic-1", framesIn: "2" });
  });

  it("refuses the frames of an owner whose host can't be told", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    const old = await cluster.plug("nic-1", "a");
    const other = await cluster.plug("nic-3", "a");
    const two = await cluster.plug("nic-2", "b");
    cluster.host("a").reachable = false;
    const moved = await cluster.plug("nic-1", "b", { generation: 2 });
    const { ports, members } = await cluster.status();
    expect(members.map(({ state }) => state)).toEqual(["disconnected", "up"]);
    expect(ports.find(({ portKey }) => portKey === "nic-1")?.problem).toContain("older owner on host 'a'");
    old.say("refused", "all");
    other.say("passes", "all");
    moved.say("new", "all");
    await two.until(({ texts }) => texts.length === 2);
    expect([...two.texts].sort()).toEqual(["new", "passes"]);
    cluster.host("a").reachable = true;
    await old.until(({ connected }) => !connected);
    await cluster.status(({ ports }) => ports.every(({ problem }) => problem === undefined));
    moved.say("again", "all");
    await other.heard("again");
  });

  it("does not claim to have cut off a port that may use other addresses", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    const security = { promiscuous: false, forgedTransmits: true, macChanges: false };
    const binding = await cluster.connect("nic-1", "a", { setting: { ...openSetting, security } });
    expect(binding.fencing).toBe("detach");
    cluster.host("a").reachable = false;
    const revoke = { switchId: "sw", portKey: "nic-1", generation: 1 };
    await expect(cluster.control.revokePort(revoke, cluster.operation())).rejects.toMatchObject({
      reason: "VDC_REVOKE_UNCONFIRMED",
    });
    cluster.host("a").reachable = true;
    await cluster.control.revokePort(revoke, cluster.operation());
    await expect(cluster.connect("nic-1", "a")).rejects.toMatchObject({ reason: "VDC_FENCED" });
  });

  it("takes in a host that comes late, and says so until then", async () => {
    await using cluster = await SwitchCluster.create(["a"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    const before = await cluster.status(({ members }) => members[0]?.state === "warning");
    expect(before.members[0]).toMatchObject({ realizedGeneration: 1, detail: "no tunnel yet to 'b'" });
    expect(before.members[1]).toMatchObject({ state: "disconnected", realizedGeneration: 0 });
    await expect(cluster.connect("nic-2", "b")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const one = await cluster.plug("nic-1", "a");
    cluster.addHost("b");
    await cluster.allUp(1);
    const two = await cluster.plug("nic-2", "b");
    two.say("late", "all");
    await one.heard("late");
  });

  it("holds a gate through the end of every process", async () => {
    await using cluster = await SwitchCluster.create(["a"]);
    await cluster.apply(testSpec(["a"]), 1);
    const one = await cluster.plug("nic-1", "a");
    const two = await cluster.plug("nic-2", "a");
    const gate = cluster.control.facets.gate;
    if (gate === undefined) throw new Error("no gate");
    const port = { switchId: "sw", portKey: "nic-1" };
    await gate.setGate({ ...port, gate: "hold", generation: 1 }, cluster.operation());
    await cluster.host("a").restart();
    await cluster.host("a").linksUp();
    await one.until(({ connections }) => connections === 2);
    for (const text of ["1", "2", "3"]) one.say(text, "all");
    while ((await gate.heldFrames(port, cluster.operation())).frames < 3) await new Promise(setImmediate);
    expect(await gate.releaseHeld({ ...port, frames: 2, generation: 1 }, cluster.operation())).toEqual({ released: 2 });
    await two.until(({ texts }) => texts.length === 2);
    await expect(gate.discardHeld({ ...port, generation: 2 }, cluster.operation())).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
    });
    await gate.setGate({ ...port, gate: "open", generation: 1 }, cluster.operation());
    await two.heard("3");
    expect(two.texts).toEqual(["1", "2", "3"]);
  });

  it("ends the process of a host that has nothing left to do", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    await cluster.plug("nic-1", "a");
    const remove = () => cluster.control.removeSwitch({ switchId: "sw" }, cluster.operation());
    await expect(remove()).rejects.toMatchObject({ code: "FAILED_PRECONDITION" });
    expect(await cluster.control.collectGarbage({ switchId: "sw", known: [] }, cluster.operation())).toEqual(["nic-1"]);
    await remove();
    await remove();
    while (cluster.host("a").running || cluster.host("b").running) await new Promise(setImmediate);
    expect(await cluster.control.listSwitches({}, cluster.operation())).toEqual({ items: [] });
  });

  it("lets a manager that was replaced change nothing", async () => {
    await using cluster = await SwitchCluster.create(["a"]);
    await cluster.apply(testSpec(["a"]), 1);
    const first = cluster.control;
    await cluster.open();
    await expect(
      first.applySwitch({ spec: testSpec(["a"], { mtu: 1400 }), generation: 2 }, cluster.operation()),
    ).rejects.toMatchObject({
      reason: "VDC_SUPERSEDED",
    });
    await first.close();
    await cluster.apply(testSpec(["a"], { mtu: 1300 }), 2);
    await cluster.allUp(2);
  });

  it("refuses what it can't do, by path", async () => {
    await using cluster = await SwitchCluster.create();
    const dhcp = {
      subnet: "192.0.2.0/24",
      serverAddress: "192.0.2.1",
      serverMac: "52:54:00:00:00:01",
      dnsServers: [],
      leaseSeconds: 60,
    };
    const spec = testSpec(["a", "a"], {
      mtu: 1451,
      portGroups: [
        { key: "g", name: "g", binding: "static", setting: { ...openSetting, dhcp } },
        {
          key: "h",
          name: "h",
          binding: "static",
          setting: { ...openSetting, vlan: { kind: "trunk", ranges: [{ from: 9, to: 8 }] } },
        },
      ],
      loadBalancers: [{ name: "vip", protocol: "tcp", address: "192.0.2.9", port: 80, backends: [] }],
    });
    const problems = await cluster.control.validateSwitch({ spec }, cluster.operation());
    expect(problems.map(({ path }) => path)).toEqual([
      "mtu",
      "members[1].host",
      "portGroups[0].setting.dhcp",
      "portGroups[1].setting.vlan.ranges[0]",
      "loadBalancers",
    ]);
    await expect(cluster.apply(spec, 1)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  it("gives a new owner on the same host another socket", async () => {
    await using cluster = await SwitchCluster.create(["a"]);
    await cluster.apply(testSpec(["a"]), 1);
    const old = await cluster.plug("nic-1", "a");
    const next: FakeNic = await cluster.plug("nic-1", "a", { generation: 2 });
    await old.until(({ connected }) => !connected);
    expect(next.path).not.toBe(old.path);
  });

  it("goes on with a port's move when its owner connects again with another setting", async () => {
    await using cluster = await SwitchCluster.create(["a", "b"]);
    await cluster.apply(testSpec(["a", "b"]), 1);
    await cluster.allUp(1);
    await cluster.connect("nic-1", "a");
    const { migration } = cluster.control.facets;
    const move = { switchId: "sw", portKey: "nic-1", targetHost: "b", generation: 2 };
    const prepared = await migration?.prepareMigration(move, cluster.operation());
    await cluster.connect("nic-1", "a", { setting: { ...openSetting, blocked: true } });
    expect(await migration?.listMigrations({ switchId: "sw" }, cluster.operation())).toEqual([prepared]);
    const ticket = prepared?.ticket ?? "";
    expect(await migration?.activateMigration({ ticket }, cluster.operation())).toMatchObject({ state: "activated" });
  });
});
