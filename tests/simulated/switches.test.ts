import { createOperationContext } from "@vdc-os/core";
import { use } from "@vdc-os/core/kernel";
import { distributedSwitch, type DistributedSwitch } from "@vdc-os/core/network/v1";
import { MemorySwitch } from "@vdc-os/ready/network";
import { findCondition, mirrorsCondition, portsCondition } from "@vdc-os/sdk";
import { expect, test } from "vitest";
import { patienceMs, prepare, vmSpec } from "./fleet.ts";
import { switchPlugin } from "./memory-switch-plugin.ts";
import { openSimulatedDatacenter, type SimulatedDatacenter } from "./open-simulated-datacenter.ts";

const context = createOperationContext();
const wait = { timeoutMs: patienceMs };

/** A datacenter with two hosts, the simulated network, and the network `full`, which has every facet. */
async function open(): Promise<SimulatedDatacenter & { readonly full: MemorySwitch }> {
  const full = new MemorySwitch();
  const opened = await openSimulatedDatacenter({
    hostMemoryBytes: [2 ** 34, 2 ** 34],
    plugins: [use(switchPlugin(full), { id: "full" })],
  });
  return { ...opened, full };
}

test("a switch carries all that the contract can, and its provider gets what holds", async () => {
  await using at = await open();
  const { dc, full } = at;
  const uplink = (host: string) => [
    { name: "up1", backing: { kind: "stream" as const, path: `/run/${host}.sock` } },
    { name: "up2", backing: { kind: "interface" as const, interfaceName: "eth1" } },
  ];
  const { metadata, status } = await dc.switches.createAndWait(
    {
      name: "prod",
      spec: {
        network: "full",
        hosts: ["h1", "h2"],
        transport: "uplinks",
        uplinks: { h1: uplink("h1"), h2: uplink("h2") },
        memberOpaque: { h2: { rack: 7 } },
        policy: { security: { promiscuous: false, forgedTransmits: true, macChanges: false } },
        portGroups: [
          {
            name: "web",
            binding: "ephemeral",
            maxPorts: 3,
            opaque: { colour: "red" },
            overrides: ["blocked"],
            policy: {
              vlan: { kind: "access", id: 10 },
              teaming: {
                ...{ policy: "failoverOrder", active: ["up1"], standby: ["up2"] },
                ...{ failback: true, notifySwitches: true },
              },
              filters: [{ name: "a", direction: "in", match: {}, action: { kind: "mirror", session: "m" } }],
            },
          },
        ],
        mirrors: [
          {
            name: "m",
            sources: [{ vm: "web-1", nic: "nic0" }],
            destination: { kind: "erspan", address: "192.0.2.9", session: 3 },
          },
        ],
        discovery: "both",
        multicastSnooping: true,
        opaque: { own: true },
      },
    },
    wait,
  );
  expect(status).toMatchObject({ desiredGeneration: 1, specGeneration: 1, connectedPorts: 0 });
  const { items } = await full.listSwitches({}, context);
  expect(items).toEqual([
    {
      switchId: metadata.uid,
      name: "prod",
      owner: { datacenter: dc.uid, tenant: "default", kind: "Switch", name: "prod", uid: metadata.uid },
      mtu: 1450,
      transport: "uplinks",
      members: [
        { host: "h1", uplinks: uplink("h1") },
        { host: "h2", uplinks: uplink("h2"), opaque: { rack: 7 } },
      ],
      portGroups: [
        {
          ...{ key: "web", name: "web", binding: "ephemeral", maxPorts: 3, opaque: { colour: "red" } },
          setting: expect.objectContaining({
            vlan: { kind: "access", id: 10 },
            security: { promiscuous: false, forgedTransmits: true, macChanges: false },
            teaming: expect.objectContaining({ active: ["up1"] }),
          }),
        },
      ],
      mirrors: [
        {
          ...{ name: "m", direction: "both", sourcePorts: [] },
          destination: { kind: "erspan", address: "192.0.2.9", session: 3 },
        },
      ],
      discovery: "both",
      multicastSnooping: true,
      opaque: { own: true },
    },
  ]);
});

test("what contradicts itself, and what a port may not set, is refused before anything is made", async () => {
  await using at = await open();
  const { dc } = at;
  const base = { network: "full", hosts: ["h1"], portGroups: [{ name: "web", overrides: ["blocked"] as const }] };
  const shaping = { averageBitsPerSecond: 9, peakBitsPerSecond: 3, burstBytes: 1, packetsPerSecond: 0 };
  const refused = {
    "/portGroups/1/name' 'web' is there twice": { portGroups: [{ name: "web" }, { name: "web" }] },
    "/policy/shapingOut' the peak of 3 bit/s": { policy: { shapingOut: shaping } },
    "/uplinks/h9' 'h9' is not among": { transport: "uplinks", uplinks: { h9: [] } },
    "no member has an uplink 'up1'": {
      policy: {
        teaming: { policy: "lacp", active: ["up1"], standby: [], failback: true, notifySwitches: true },
      },
    },
  } as const;
  for (const [why, more] of Object.entries(refused)) {
    await expect(dc.switches.create({ name: "bad", spec: { ...base, ...more } as never })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(why),
    });
  }
  await dc.switches.createAndWait({ name: "lan", spec: { ...base, network: "network" } }, wait);
  await prepareImage(at);
  const nic = { switch: "lan", portGroup: "web" };
  const vlan = { kind: "access", id: 4 } as const;
  await expect(
    dc.vms.create({ name: "bad", spec: { ...vmSpec, nics: [nic, { ...nic, policy: { vlan } }] } }),
  ).rejects.toMatchObject({
    code: "PERMISSION_DENIED",
    message: expect.stringContaining(
      "'/nics/1/policy' policy 'portOverrides': port group 'web' does not let a port set 'vlan'",
    ),
  });
  await dc.vms.createAndWait(
    { name: "good", spec: { ...vmSpec, nics: [{ ...nic, policy: { blocked: true }, addresses: ["192.0.2.4"] }] } },
    wait,
  );
  await expect(dc.switches.apply("lan", { portGroups: [{ name: "web" }] })).rejects.toMatchObject({
    code: "PERMISSION_DENIED",
    message: expect.stringContaining("VM 'good': port group 'web' does not let a port set 'blocked'"),
  });
});

async function prepareImage({ dc }: SimulatedDatacenter): Promise<void> {
  await dc.volumes.createAndWait({ name: "golden", spec: { storage: "storage", capacityBytes: 2 ** 26 } });
  const boot = { kind: "kernel", kernel: "/none", commandLine: "" } as const;
  await dc.images.createAndWait({ name: "golden", spec: { boot, volume: "golden" } });
}

test("a mirror follows the VM that it names, also one that is made anew under the name", async () => {
  await using at = await open();
  const { dc, full } = at;
  await prepareImage(at);
  const sources = [{ vm: "web-1", nic: "nic0" }];
  await dc.switches.createAndWait(
    {
      name: "prod",
      spec: {
        network: "full",
        hosts: ["h1", "h2"],
        portGroups: [{ name: "web" }],
        mirrors: [{ name: "m", sources, destination: { kind: "port", port: { vm: "watcher", nic: "nic0" } } }],
      },
    },
    wait,
  );
  const session = async () => (await full.listSwitches({}, context)).items[0]?.mirrors?.[0];
  const object = await dc.switches.get("prod");
  expect(findCondition(object.conditions, mirrorsCondition)).toMatchObject({ status: "False", reason: "NicsMissing" });
  expect(await session()).toMatchObject({ sourcePorts: [], destination: { portKey: "absent.watcher/nic0" } });
  const spec = { ...vmSpec, nics: [{ switch: "prod", portGroup: "web" }], power: "off" as const };
  await dc.vms.createAndWait({ name: "watcher", spec }, wait);
  const seen = new Set<string>();
  for (let round = 0; round < 2; round++) {
    const vm = await dc.vms.createAndWait({ name: "web-1", spec }, wait);
    const key = `${vm.metadata.uid}.nic0`;
    await expect.poll(session, { timeout: patienceMs }).toMatchObject({ sourcePorts: [key] });
    expect(await dc.switches.portKey("prod", { vm: "web-1", nic: "nic0" })).toBe(key);
    seen.add(key);
    await dc.vms.deleteAndWait("web-1", wait);
    await expect.poll(session, { timeout: patienceMs }).toMatchObject({ sourcePorts: [] });
  }
  expect(seen.size).toBe(2);
  await expect(dc.switches.portKey("prod", { vm: "web-1", nic: "nic0" })).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("what a provider can tell of a switch is told by the datacenter, with the names of VMs", async () => {
  await using at = await open();
  const { dc } = at;
  await prepare(at);
  await dc.vms.createAndWait({ name: "web-1", spec: { ...vmSpec, nics: [{ switch: "lan", portGroup: "web" }] } }, wait);
  const view = await dc.switches.view("lan");
  expect(view).toMatchObject({
    members: [{ state: "up" }, { state: "up" }],
    ports: [{ vm: "web-1", nic: "nic0", portGroup: "web", vlan: { kind: "none" } }],
  });
  const port = { vm: "web-1", nic: "nic0" };
  expect(await dc.switches.portRates("lan", { ports: [port], intervalMs: 1 })).toMatchObject([
    { portKey: view.ports[0]?.portKey, framesInPerSecond: expect.any(Number) },
  ]);
  expect(await dc.switches.effectiveSetting("lan", port)).toMatchObject({ blocked: false });
  expect(await dc.switches.explain("lan", port, Buffer.alloc(60))).toMatchObject({ verdict: "drop" });
  await expect(dc.switches.neighbours("lan")).rejects.toMatchObject({
    code: "UNIMPLEMENTED",
    message: expect.stringContaining("network 'network' has no facet 'discovery'"),
  });
  const network: DistributedSwitch = dc.kernel.get(distributedSwitch, "full") as never;
  await dc.switches.createAndWait(
    { name: "prod", spec: { network: "full", hosts: ["h1"], portGroups: [{ name: "web" }] } },
    wait,
  );
  const { uid: switchId } = (await dc.switches.get("prod")).metadata;
  const connect = (portKey: string) =>
    network.connectPort(
      { switchId, portGroup: "web", portKey, host: "h1", mac: "52:54:00:00:00:01", generation: 1 },
      context,
    );
  await connect("mine");
  const frame = Buffer.from("ffffffffffff525400000001080045000000", "hex");
  expect(await dc.switches.explain("prod", { portKey: "mine" }, frame)).toMatchObject({ verdict: expect.any(String) });
  expect(await dc.switches.healthCheck("prod")).toBeInstanceOf(Array);
  expect(await dc.switches.uplinkStates("prod")).toEqual([]);
  expect(await dc.switches.neighbours("prod")).toEqual([]);
  const archive = await dc.switches.exportConfig("prod");
  expect(archive).toMatchObject({ format: "vdc.switch.config/1", name: "prod", provider: { generation: 1 } });
  await expect(dc.switches.importConfig(archive)).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
  const { task } = await dc.switches.importConfig(archive, { as: "copy" });
  expect((await task.wait(wait)).spec).toEqual((await dc.switches.get("prod")).spec);
  await network.disconnectPort({ switchId, portKey: "mine", generation: 1 }, context);
});

test("ports that no VM has are disconnected, and those of others are left alone", async () => {
  await using at = await open();
  const { dc, full } = at;
  await dc.switches.createAndWait(
    { name: "prod", spec: { network: "full", hosts: ["h1"], portGroups: [{ name: "web" }] } },
    wait,
  );
  const { uid: switchId } = (await dc.switches.get("prod")).metadata;
  const connect = (portKey: string, mac: string) =>
    full.connectPort({ switchId, portGroup: "web", portKey, host: "h1", mac, generation: 1 }, context);
  await connect("mine", "52:54:00:00:00:01");
  await connect("3f2b8c1e-0000-4000-8000-000000000001.nic0", "52:54:00:00:00:02");
  await dc.switches.apply("prod", { mtu: 1400 });
  const keys = async () => (await dc.switches.view("prod")).ports.map(({ portKey }) => portKey);
  await expect.poll(keys, { timeout: patienceMs }).toEqual(["mine"]);
  const { conditions } = await dc.switches.get("prod");
  expect(findCondition(conditions, portsCondition)).toMatchObject({ status: "True" });
  await full.disconnectPort({ switchId, portKey: "mine", generation: 1 }, context);
});

test("a spec on trial is taken back by itself, by order, or kept", async () => {
  await using at = await open();
  const { dc, full } = at;
  const spec = { network: "full", hosts: ["h1"], portGroups: [{ name: "web" }] };
  await dc.switches.createAndWait({ name: "prod", spec }, wait);
  const inForce = async () => (await full.listSwitches({}, context)).items[0]?.mtu;
  const tryMtu = (mtu: number, confirmWithinMs = patienceMs) =>
    dc.switches.applyOnTrial("prod", { ...spec, mtu }, { confirmWithinMs });

  await tryMtu(1300);
  expect(await inForce()).toBe(1300);
  expect((await dc.switches.get("prod")).spec.mtu).toBe(1450);
  await expect(tryMtu(1200)).rejects.toMatchObject({ reason: "VDC_ON_TRIAL" });
  expect((await dc.switches.rollbackTrial("prod")).spec.mtu).toBe(1450);
  expect(await inForce()).toBe(1450);

  await tryMtu(1310);
  const kept = await dc.switches.confirmTrial("prod");
  expect(kept).toMatchObject({ spec: { mtu: 1310 }, status: { specGeneration: 2 } });
  expect(kept.status.trial).toBeUndefined();
  await expect(dc.switches.confirmTrial("prod")).rejects.toMatchObject({ reason: "VDC_NO_TRIAL" });

  await tryMtu(1320, 50);
  await expect.poll(inForce, { timeout: patienceMs }).toBe(1310);
  await expect.poll(async () => (await dc.switches.get("prod")).status.trial, { timeout: patienceMs }).toBeUndefined();
  // A change of the spec is what counts, also while something is on trial.
  await tryMtu(1330);
  const { task } = await dc.switches.apply("prod", { mtu: 1340 });
  await task.wait(wait);
  expect(await inForce()).toBe(1340);
  await expect(tryMtu(20)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});
