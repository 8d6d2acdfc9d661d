import { createOperationContext, type OperationContext, type OwnerStamp } from "@vdc-os/core";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import type { PortSetting } from "@vdc-os/core/network/v1";
import { createTestClock, type TestClock } from "@vdc-os/core/testing";
import { afterEach, describe, expect, it } from "vitest";
import { SimulatedWorld, type SimulatedWorldOptions } from "./world/simulated-world.ts";

const owner: OwnerStamp = { datacenter: "dc-1", tenant: "default", kind: "VirtualMachine", name: "web", uid: "u-1" };

const worlds: SimulatedWorld[] = [];

afterEach(() => {
  for (const world of worlds.splice(0)) world.dispose();
});

function create(options: SimulatedWorldOptions = {}): { readonly world: SimulatedWorld; readonly clock: TestClock } {
  const clock = createTestClock();
  const world = new SimulatedWorld({ clock, hosts: [{ name: "host-1" }, { name: "host-2" }], ...options });
  worlds.push(world);
  return { world, clock };
}

const context: OperationContext = createOperationContext();

function settingOf(vlan: number): PortSetting {
  const security = { promiscuous: false, forgedTransmits: false, macChanges: false };
  return { vlan: { kind: "access", id: vlan }, blocked: false, security };
}

/** A switch with the port groups `red` and `blue` on both hosts. */
async function applySwitch(world: SimulatedWorld): Promise<void> {
  const portGroups = [
    { key: "red", name: "red", binding: "static", setting: settingOf(10) },
    { key: "blue", name: "blue", binding: "static", setting: settingOf(20) },
  ] as const;
  const members = world.hosts.map((host) => ({ host, uplinks: [] }));
  await world
    .network()
    .applySwitch(
      { spec: { switchId: "s", name: "s", mtu: 1400, transport: "overlay", members, portGroups }, generation: 1 },
      context,
    );
}

interface Machine {
  readonly host: string;
  readonly group: string;
  readonly words: string;
  readonly volumeId?: string;
}

/** Attaches, connects, defines and starts a machine, and returns its id. */
async function start(world: SimulatedWorld, name: string, machine: Machine): Promise<string> {
  const { host, group, words, volumeId } = machine;
  const mac = `52:54:00:00:00:${Buffer.from(name).subarray(-1).toString("hex")}`;
  const port = { switchId: "s", portGroup: group, portKey: name, host, mac, generation: 1 };
  const { attachment } = await world.network().connectPort(port, context);
  const attached =
    volumeId === undefined
      ? undefined
      : await world.storage().attachVolume({ volumeId, host, access: "readWrite", generation: 1 }, context);
  const spec: VmSpec = {
    cpus: 1,
    memoryBytes: 64 << 20,
    boot: { kind: "kernel", kernel: "/none", commandLine: `vdc.host=${name} ${words}` },
    disks: attached === undefined ? [] : [{ id: "disk0", transport: attached.transport, readOnly: false }],
    nics: [{ id: "nic0", mac, attachment }],
  };
  const { vmId } = await world.hypervisor(host).createVm({ name, spec, owner }, context);
  await world.hypervisor(host).startVm({ vmId, generation: 1 }, context);
  return vmId;
}

async function consoleOf(world: SimulatedWorld, host: string, vmId: string): Promise<string> {
  let text = "";
  for await (const part of world.hypervisor(host).readConsole({ vmId }, context)) text += part.text;
  return text;
}

describe("a simulated world", () => {
  it("boots guests that say they are simulated, and lets them fetch a page on their own VLAN alone", async () => {
    const { world, clock } = create({ bootMs: 1_000 });
    await applySwitch(world);
    const web = await start(world, "web", { host: "host-1", group: "red", words: "vdc.ip=10.0.0.1/24" });
    const near = await start(world, "a", { host: "host-2", group: "red", words: "vdc.fetch=http://10.0.0.1/" });
    const far = await start(world, "b", { host: "host-1", group: "blue", words: "vdc.fetch=http://10.0.0.1/" });
    expect(await consoleOf(world, "host-1", web)).toMatch(/^VDC-SIMULATED /);
    expect(await consoleOf(world, "host-1", web)).not.toContain("VDC-READY");
    await clock.advance(5_000);
    expect(await consoleOf(world, "host-1", web)).toContain("VDC-READY 1.00\r\n");
    expect(await consoleOf(world, "host-2", near)).toMatch(
      /VDC-FETCH \d+\.\d\d This is web at 10\.0\.0\.1\/24.*\(simulated\)/,
    );
    expect(await consoleOf(world, "host-1", far)).not.toContain("VDC-FETCH");
  });

  it("gives guests the bytes of their clones, and keeps what they write", async () => {
    const { world, clock } = create();
    await applySwitch(world);
    const storage = world.storage();
    const image = await storage.createVolume({ name: "image", capacityBytes: 64 << 20 }, context);
    const { transport } = await storage.attachVolume(
      { volumeId: image.volumeId, host: "host-1", access: "readWrite", generation: 1 },
      context,
    );
    await world.openTransport(transport).write(0, Buffer.from("vdc-data-disk 1 tar=0\n"));
    await storage.detachVolume({ volumeId: image.volumeId, host: "host-1", generation: 1 }, context);
    const { volume } = await (storage.facets?.clones?.cloneVolume(
      { name: "clone", source: { kind: "volume", volumeId: image.volumeId }, want: "linked" },
      context,
    ) ?? Promise.reject(new Error("no clones")));
    const machine = { host: "host-1", group: "red", words: "", volumeId: volume.volumeId };
    const vmId = await start(world, "web", machine);
    await clock.advance(100);
    expect(await consoleOf(world, "host-1", vmId)).toContain(
      "VDC-DISK 67108864 vdc-data-disk 1 tar=0\r\nVDC-MARKER 1\r\n",
    );
    const statistics = await world.hypervisor("host-1").vmStatistics({ vmId }, context);
    expect(statistics.disks).toEqual([
      { id: "disk0", readBytes: 8192, writtenBytes: 4096, readOperations: 2, writeOperations: 1 },
    ]);
    await world.hypervisor("host-1").stopVm({ vmId, mode: "hard" }, context);
    await world.hypervisor("host-1").startVm({ vmId, generation: 2 }, context);
    await clock.advance(100);
    expect(await consoleOf(world, "host-1", vmId)).toContain("VDC-MARKER 2\r\n");
    const { exclusiveBytes } = await storage.getVolume({ volumeId: volume.volumeId }, context);
    expect(exclusiveBytes).toBe(4096);
  });

  it("fails the calls that were to fail, and only those", async () => {
    const { world } = create();
    const storage = world.storage();
    const make = (name: string) => storage.createVolume({ name, capacityBytes: 4096 }, context);
    const remove = world.faults.add({ point: "vdc.storage", operation: "createVolume", nth: 2, error: "UNAVAILABLE" });
    await make("a");
    await expect(make("b")).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "VDC_SIMULATED_FAULT" });
    await make("c");
    remove();
    world.faults.add({ operation: "createVolume", nth: 1, crashAfter: true });
    await expect(make("d")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const { items } = await storage.listVolumes({}, context);
    expect(items.map(({ name }) => name)).toEqual(["a", "c", "d"]);
    expect(world.log.calls({ operation: "createVolume" }).map(({ outcome }) => outcome)).toEqual([
      "ok",
      "UNAVAILABLE",
      "ok",
      "UNAVAILABLE",
    ]);
  });

  it("lets the time of calls pass by its clock, and hangs until the caller gives up", async () => {
    const { world, clock } = create({ latencyMs: { "vdc.storage.capacity": 500, "*": 0 } });
    let done = false;
    const call = world
      .storage()
      .capacity({}, context)
      .then(() => {
        done = true;
      });
    await clock.advance(499);
    expect(done).toBe(false);
    await clock.advance(1);
    await call;
    world.faults.add({ operation: "health", hang: true });
    const controller = new AbortController();
    const hanging = world.storage().health({}, createOperationContext({ signal: controller.signal }));
    controller.abort();
    await expect(hanging).rejects.toMatchObject({ code: "CANCELLED" });
  });

  it("is the same again with the same seed, and another with another", async () => {
    const outcomes = async (seed: number): Promise<readonly string[]> => {
      const { world } = create({ seed });
      world.faults.add({ operation: "createVolume", probability: 0.5, error: "ABORTED" });
      for (let index = 0; index < 40; index += 1) {
        await world
          .storage()
          .createVolume({ name: `v${index}`, capacityBytes: 4096 }, context)
          .catch(() => undefined);
      }
      return world.log.calls({ operation: "createVolume" }).map(({ outcome }) => outcome);
    };
    const first = await outcomes(7);
    expect(await outcomes(7)).toEqual(first);
    expect(await outcomes(8)).not.toEqual(first);
    expect(new Set(first)).toEqual(new Set(["ok", "ABORTED"]));
  });

  it("never logs a secret", async () => {
    const { world } = create();
    await world.secretStore().put({ name: "a", value: "canary" }, context);
    expect(JSON.stringify(world.log.calls())).not.toContain("canary");
  });

  it("shuts the old owner of a volume out of its data path", async () => {
    const { world } = create();
    const storage = world.storage();
    const { volumeId } = await storage.createVolume({ name: "disk", capacityBytes: 8192 }, context);
    const attach = (host: string, generation: number) =>
      storage.attachVolume({ volumeId, host, access: "readWrite", generation }, context);
    const old = world.openTransport((await attach("host-1", 1)).transport);
    await old.write(0, Buffer.from("first"));
    const young = world.openTransport((await attach("host-2", 2)).transport);
    await expect(old.write(0, Buffer.from("late!"))).rejects.toMatchObject({ reason: "VDC_FENCED" });
    expect(Buffer.from(await young.read(0, 5)).toString()).toBe("first");
  });

  it("describes every provider as simulated", async () => {
    const { world } = create();
    const providers = [
      world.storage(),
      world.network(),
      world.hypervisor("host-1"),
      world.hostRuntime("host-1"),
      world.cloud(),
      world.stateStore(),
      world.secretStore(),
    ];
    for (const provider of providers) {
      const { implementation, attributes, facets } = await provider.describe({ scope: {} }, context);
      expect(implementation).toMatchObject({ name: "@vdc-os/plugin-simulator", simulated: true });
      expect(attributes.simulated).toBe(true);
      for (const facet of Object.values(facets)) {
        expect(facet.status === "available" ? facet.evidence : facet.reason).toMatch(/simulat/);
      }
    }
  });
});
