import { expect, it } from "vitest";
import { DataPlane } from "../src/dataplane/control.ts";
import type { DataPlanePortConfig, DataPlaneSwitchConfig } from "../src/dataplane/data-plane-config.ts";
import { parseDataPlaneConfig } from "../src/dataplane/data-plane-config.ts";
import type { FlowRecord } from "../src/dataplane/flow-table.ts";
import type { VlanSetting } from "../src/dataplane/vlan-membership.ts";
import { Fabric, type Host, mesh } from "./fabric.ts";
import { testFrame } from "./fake-nic.ts";

const vlan: VlanSetting = { kind: "access", id: 10 };

it("keeps private VLANs apart across hosts", async () => {
  await using fabric = await Fabric.create();
  const [one, two] = [await fabric.host(), await fabric.host()];
  const [gateway, guest, other] = [await fabric.nic(), await fabric.nic(), await fabric.nic()];
  mesh([one, two]);
  const isolated: VlanSetting = { kind: "pvlan", primary: 100, secondary: 101, role: "isolated" };
  one.port("gateway", gateway, { vlan: { kind: "pvlan", primary: 100, secondary: 100, role: "promiscuous" } });
  one.port("other", other, { vlan: isolated });
  two.port("guest", guest, { vlan: isolated });
  // The host of the gateway alone must know, which has no such port: so both are told.
  for (const host of [one, two]) host.switchConfig = { privateVlans: [{ primary: 100, secondary: 101 }] };
  await Promise.all([one.applyAndConnect(), two.applyAndConnect()]);
  guest.say("guest speaks", "all");
  await gateway.heard("guest speaks");
  gateway.say("gateway answers", guest);
  await guest.heard("gateway answers");
  guest.say("no way", other);
  gateway.say("to all", "all");
  await Promise.all([guest.heard("to all"), other.heard("to all")]);
  expect(other.texts).toEqual(["to all"]);
});

it("goes by uplinks, fails over and stays up, without touching ports or the other uplink", async () => {
  await using fabric = await Fabric.create();
  const host = await fabric.host();
  const [a, first, second] = [await fabric.nic(), await fabric.nic(), await fabric.nic()];
  host.port("a", a, {
    vlan,
    teaming: { policy: "failoverOrder", active: ["u1", "u2"], standby: [], failback: true, notifySwitches: true },
  });
  const uplink = (name: string, path: string): { name: string; backing: { kind: "stream"; path: string } } => ({
    name,
    backing: { kind: "stream", path },
  });
  const u1 = uplink("u1", first.path);
  host.switchConfig = { transport: "uplinks", uplinks: [u1, uplink("u2", second.path)] };
  await host.applyAndConnect();
  await Promise.all([first.until(({ connected }) => connected), second.until(({ connected }) => connected)]);
  const capture = host.plane.tools.capture("switch-a/u1");
  a.say("one", "all");
  await first.heard("one@10");
  expect(capture.take()).toMatchObject([{ sequence: 1, direction: "out", length: 64 }]);
  first.send(testFrame({ to: a.mac, from: "52:54:00:00:99:01", text: "from outside", tag: 10 }));
  await a.heard("from outside");
  // Without the first uplink the second is used, and the network hears of it.
  host.switchConfig = { transport: "uplinks", uplinks: [uplink("u2", second.path)] };
  await host.apply();
  await second.until(({ frames }) => frames.some((frame) => frame.readUInt16BE(16) === 0x8035));
  a.say("two", "all");
  await second.heard("two@10");
  host.switchConfig = { transport: "uplinks", uplinks: [u1, uplink("u2", second.path)] };
  await host.apply();
  await first.until(({ frames }) => frames.some((frame) => frame.readUInt16BE(16) === 0x8035));
  a.say("three", "all");
  await first.heard("three@10");
  expect([a.connections, first.connections, second.connections]).toEqual([1, 2, 1]);
  const [status] = (await host.plane.status()).switches;
  expect(status?.uplinks).toMatchObject([
    { uplink: "u2", link: "up", out: { frames: 2 } },
    { uplink: "u1", link: "up", out: { frames: 2 }, in: { frames: 0 } },
  ]);
});

it("explains, captures, reads back, logs, mirrors and accounts flows", async () => {
  await using fabric = await Fabric.create();
  const flows: FlowRecord[] = [];
  const host = await fabric.host({ onFlows: (_, records) => flows.push(...records) });
  const [a, b, c] = [await fabric.nic(), await fabric.nic(), await fabric.nic()];
  const shaping = { averageBitsPerSecond: 8e6, peakBitsPerSecond: 8e6, burstBytes: 1e6, packetsPerSecond: 0 };
  host.port("a", a, {
    vlan,
    shapingIn: shaping,
    filters: [
      { name: "log", direction: "in", match: { destinationMac: b.mac }, action: { kind: "log" } },
      { name: "no c", direction: "in", match: { destinationMac: c.mac }, action: { kind: "drop" } },
    ],
  });
  host.port("b", b, { vlan });
  host.port("c", c, { vlan });
  host.switchConfig = {
    mirrors: [{ name: "m", sourcePorts: ["b"], direction: "out", destination: { kind: "port", portKey: "c" } }],
    flows: { activeTimeoutMs: 60_000, idleTimeoutMs: 60_000, samplingRate: 1 },
  };
  await host.applyAndConnect();
  const { tools } = host.plane;
  expect(tools.explain("a", testFrame({ to: b.mac, from: a.mac, text: "" }))).toMatchObject({
    verdict: "forward",
    vlan: 10,
    ports: [{ port: "b" }],
  });
  const refused = tools.explain("a", testFrame({ to: c.mac, from: a.mac, text: "" }));
  expect(refused).toMatchObject({ verdict: "drop", reason: "filtered" });
  expect(JSON.parse(JSON.stringify(refused))).toEqual(refused);
  const capture = tools.capture("a", { snapLength: 20 });
  a.say("to c", c);
  a.say("to b", b);
  await Promise.all([b.heard("to b"), c.heard("to b")]);
  expect(capture.take()).toMatchObject([
    { direction: "in", drop: "filtered", length: 60 },
    { direction: "in", length: 60, bytes: { length: 20 } },
  ]);
  capture.close();
  a.say("again", b);
  await b.heard("again");
  expect(capture.take()).toEqual([]);
  expect(tools.effective("a")).toMatchObject({ shapingIn: { averageBitsPerSecond: 8e6, overLimit: "drop" } });
  expect(tools.filterStatistics("a").map(({ rule, matched }) => [rule, matched])).toEqual([
    ["log", 2],
    ["no c", 1],
  ]);
  expect(tools.filterEvents("switch-a").events).toMatchObject([{ rule: "log", count: 2, destinationMac: b.mac }]);
  expect(tools.mirrorStatistics("switch-a")).toMatchObject([{ session: "m", copied: 2 }]);
  const { flows: _, ...without } = host.switchConfig;
  host.switchConfig = without;
  await host.apply();
  expect(flows.map(({ portKey, direction, packets }) => [portKey, direction, packets])).toEqual([
    ["a", "in", 2],
    ["b", "out", 2],
  ]);
  expect(Math.abs((flows[0]?.startMs ?? 0) - Date.now())).toBeLessThan(60_000);
  expect(() => tools.explain("nobody", Buffer.alloc(60))).toThrow(expect.objectContaining({ code: "NOT_FOUND" }));
  expect(() => tools.importState("a", {})).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
});

it("moves a port's state to another host", async () => {
  await using fabric = await Fabric.create();
  const [one, two] = [await fabric.host(), await fabric.host()];
  const [a, b] = [await fabric.nic(), await fabric.nic()];
  one.port("a", a, { vlan });
  one.port("b", b, { vlan });
  await one.applyAndConnect();
  a.say("hello", b);
  await b.heard("hello");
  const state: unknown = JSON.parse(JSON.stringify(one.plane.tools.exportState("a")));
  two.port("a", await fabric.nic(), { vlan });
  await two.applyAndConnect();
  two.plane.tools.importState("a", state);
  expect(await two.plane.portStatistics()).toEqual(await one.plane.portStatistics(["a"]));
});

it("lists everything that is wrong with a configuration", () => {
  const port = (key: string, settings: object): object => ({
    key,
    settings: { macAddress: "52:54:00:00:00:01", vlan, ...settings },
  });
  const problems = (part: object): readonly string[] => {
    const base = { key: "s", vniBase: 4096, peers: [], ports: [] };
    const parsed = parseDataPlaneConfig({ generation: 1, switches: [{ ...base, ...part }] });
    return "problems" in parsed ? parsed.problems : [];
  };
  const isolated = (primary: number, secondary: number): object => ({
    vlan: { kind: "pvlan", primary, secondary, role: "isolated" },
  });
  expect(
    problems({ ports: [port("p", isolated(5, 5)), port("q", { mtu: 10 }), port("r", { filters: [{ name: "x" }] })] }),
  ).toHaveLength(5);
  const rule = (action: object, match: object = {}): object => ({
    filters: [{ name: "r", direction: "in", match, action }],
  });
  for (const settings of [
    rule({ kind: "accept", related: true }),
    rule({ kind: "rateLimit", packetsPerSecond: 0 }),
    rule({ kind: "tag", dscp: 64 }),
    rule({ kind: "drop" }, { sourcePrefix: "10.0.0.0/40" }),
    rule({ kind: "drop" }, { sourcePorts: { from: 5, to: 4 } }),
    { shapingIn: { averageBitsPerSecond: 10, peakBitsPerSecond: 5, burstBytes: 1, packetsPerSecond: 0 } },
    { teaming: { policy: "lacp", active: [], standby: [], failback: true, notifySwitches: true } },
  ]) {
    expect(problems({ ports: [port("p", settings)] }), JSON.stringify(settings)).toHaveLength(1);
  }
  const destination = { kind: "port", portKey: "p" };
  const session = { name: "m", sourcePorts: ["p", "p"], direction: "in", destination };
  expect(
    problems({
      maxMtu: 1000,
      privateVlans: [{ primary: 6, secondary: 5 }],
      mirrors: [session, session],
      uplinks: ["u", "u"].map((name) => ({ name, backing: { kind: "stream", path: "/x" } })),
      ports: [
        port("p", { ...isolated(4, 5), mtu: 1500 }),
        port("q", { ...isolated(5, 7), ...rule({ kind: "mirror", session: "n" }) }),
      ],
    }),
  ).toEqual([
    "socketPath '/x' is there more than once",
    "switch 's': port 'p' has MTU 1500, which is more than the switch's 1000",
    "switch 's': VLAN 5 is a secondary of VLAN 6 and of VLAN 4",
    "switch 's': VLAN 5 is both a primary and a secondary private VLAN",
    "switch 's': port 'p' is the destination of mirror session 'm' and a source",
    "switch 's': mirror session 'm' names a source port more than once",
    "switch 's': mirror session 'm' is there more than once",
    "switch 's': port 'p' is the destination of mirror session 'm' and a source",
    "switch 's': mirror session 'm' names a source port more than once",
    "switch 's': port 'q': rule 'r' copies to mirror session 'n', which isn't there",
    "switch 's': uplink 'u' is there more than once",
  ]);
});

it("configures ten thousand ports at about the cost per port of a hundred", async () => {
  const configOf = (count: number): DataPlaneSwitchConfig => ({
    key: "s",
    vniBase: 4096,
    peers: [],
    ports: Array.from(
      { length: count },
      (_, index): DataPlanePortConfig => ({
        key: `p${index}`,
        settings: {
          macAddress: `52:54:00:00:${(index >> 8).toString(16).padStart(2, "0")}:${(index & 255).toString(16).padStart(2, "0")}`,
          vlan: { kind: "access", id: 1 + (index % Math.ceil(count / 10)) },
        },
      }),
    ),
  });
  const cost = async (count: number): Promise<number> => {
    const switches = [configOf(count)];
    const plane = new DataPlane();
    const before = process.cpuUsage();
    await plane.apply({ generation: 1, switches });
    const { user, system } = process.cpuUsage(before);
    await plane.close();
    return (user + system) / count;
  };
  await cost(2000);
  const small: number[] = [];
  for (let round = 0; round < 20; round += 1) small.push(await cost(100));
  small.sort((x, y) => x - y);
  const large = Math.min(await cost(10_000), await cost(10_000));
  // Loosely, since the machine may be busy; quadratic cost would be a hundred times.
  expect(large / (small[10] ?? 1)).toBeLessThan(4);
});

it("leaves what didn't change alone when it is applied again", async () => {
  await using fabric = await Fabric.create();
  const host: Host = await fabric.host();
  const a = await fabric.nic();
  host.port("a", a, { vlan, filters: [{ name: "r", direction: "in", match: {}, action: { kind: "log" } }] });
  await host.applyAndConnect();
  a.say("x", "all");
  await host.apply();
  a.say("y", "all");
  const b = await fabric.nic();
  host.port("b", b, { vlan });
  await host.applyAndConnect();
  a.say("z", "all");
  await b.heard("z");
  expect(host.plane.tools.filterStatistics("a")).toMatchObject([{ matched: 3 }]);
  expect(a.connections).toBe(1);
});

it("sends frames after a port that moved, and after the stations behind it, from the instant at which it goes", async () => {
  await using fabric = await Fabric.create();
  const [one, two, three] = [await fabric.host(), await fabric.host(), await fabric.host()];
  const [here, there, sender] = [await fabric.nic(), await fabric.nic(), await fabric.nic()];
  mesh([one, two, three]);
  const nested = "52:54:00:00:07:77";
  const settings = { vlan, security: { forgedTransmits: true }, macLearning: { enabled: true } };
  one.port("here", here, settings);
  three.port("sender", sender, { vlan });
  await Promise.all([one.applyAndConnect(), two.apply(), three.applyAndConnect()]);
  here.send(testFrame({ to: sender.mac, from: nested, text: "from behind" }));
  here.say("from the VM", sender);
  await sender.heard("from the VM");
  two.port("there", there, { ...settings, macAddress: here.mac });
  await two.applyAndConnect();
  // A NIC that doesn't read keeps the port's end waiting, and with it the rest of the configuration.
  here.pause();
  const state = async (): Promise<number> => (await one.plane.portStatistics(["here"]))[0]?.out.drops.queueFull ?? 0;
  while ((await state()) === 0) {
    for (let index = 0; index < 100; index += 1) sender.say("fill", here);
    await new Promise(setImmediate);
  }
  one.ports = [];
  one.switchConfig = { redirects: [{ mac: here.mac, peer: "host-1" }] };
  const applied = one.apply();
  await new Promise(setImmediate);
  sender.say("after it", here);
  sender.say("after what is behind it", { mac: nested });
  await Promise.all([there.heard("after it"), there.heard("after what is behind it")]);
  await applied;
});
