import { createOperationContext } from "@vdc-os/core";
import type { StorageProvider } from "@vdc-os/core/storage/v1";
import { findCondition } from "@vdc-os/sdk";
import { describe, expect, it } from "vitest";
import { numbered, patienceMs, prepare, requestVms, waitForAll } from "./fleet.ts";
import { openSimulatedDatacenter, type SimulatedDatacenter } from "./open-simulated-datacenter.ts";

const mib = 2 ** 20;
const context = createOperationContext();
const open = () => openSimulatedDatacenter({ hostMemoryBytes: [2 ** 30] });

let owners = 1_000_000;

/** Does something with the data path of a volume, as its next owner. */
async function withVolume<T>(
  { dc, world, hosts }: SimulatedDatacenter,
  name: string,
  work: (device: ReturnType<typeof world.openTransport>) => Promise<T>,
): Promise<T> {
  const { volumeId = "" } = (await dc.volumes.get(name)).status;
  const storage = world.storage("storage");
  const generation = owners++;
  const attachment = await storage.attachVolume(
    { volumeId, host: hosts[0] ?? "", access: "readWrite", generation },
    context,
  );
  try {
    return await work(world.openTransport(attachment.transport));
  } finally {
    await storage.detachVolume({ volumeId, host: hosts[0] ?? "", generation }, context);
  }
}

const write = (opened: SimulatedDatacenter, name: string, text: string) =>
  withVolume(opened, name, (device) => device.write(0, Buffer.from(text.padEnd(16))));
const read = (opened: SimulatedDatacenter, name: string) =>
  withVolume(opened, name, async (device) =>
    Buffer.from(await device.read(0, 16))
      .toString()
      .trim(),
  );

const snapshotsIn = async (storage: StorageProvider) =>
  (await storage.facets?.snapshots?.listSnapshots({}, context))?.items ?? [];

describe("a volume's snapshot", () => {
  it("keeps what the volume held; volumes are made of it, and the volume goes back to it", async () => {
    await using opened = await open();
    const { dc } = opened;
    await dc.volumes.createAndWait({ name: "disk", spec: { storage: "storage", capacityBytes: mib } });
    await write(opened, "disk", "before");
    const { status } = await dc.volumeSnapshots.createAndWait({ name: "kept", spec: { volume: "disk" } });
    expect(status).toMatchObject({ storage: "storage", capacityBytes: mib });
    await write(opened, "disk", "after");
    const content = { kind: "clone", snapshot: "kept", want: "linked" } as const;
    await dc.volumes.createAndWait({ name: "copy", spec: { storage: "storage", content } });
    expect([await read(opened, "disk"), await read(opened, "copy")]).toEqual(["after", "before"]);
    for (const round of ["once", "again"]) {
      const { task } = await dc.volumes.revert("disk", { snapshot: "kept" });
      await task.wait({ timeoutMs: patienceMs });
      expect(await read(opened, "disk")).toBe("before");
      await write(opened, "disk", round);
    }
    // What was done for one request is not done again.
    await dc.volumes
      .update("disk", ({ spec }) => ({ ...spec, capacityBytes: 2 * mib }))
      .then(({ task }) => task.wait());
    expect(await read(opened, "disk")).toBe("again");
  });

  it("is not deleted while a clone reads it, nor its volume while it is there; both go when nothing holds them", async () => {
    await using opened = await open();
    const { dc, world } = opened;
    await dc.volumes.createAndWait({ name: "disk", spec: { storage: "storage", capacityBytes: mib } });
    await dc.volumeSnapshots.createAndWait({ name: "kept", spec: { volume: "disk" } });
    const content = { kind: "clone", snapshot: "kept", want: "linked" } as const;
    await dc.volumes.createAndWait({ name: "copy", spec: { storage: "storage", content } });
    const volume = await dc.volumes.delete("disk");
    const snapshot = await dc.volumeSnapshots.delete("kept");
    const reasonOf = async (client: typeof dc.volumes | typeof dc.volumeSnapshots, name: string) =>
      findCondition((await client.get(name)).conditions, "Ready");
    await expect.poll(async () => (await reasonOf(dc.volumeSnapshots, "kept"))?.reason).toBe("InUse");
    await expect.poll(async () => (await reasonOf(dc.volumes, "disk"))?.message).toBe("it has snapshots: 'kept'");
    await dc.volumes.deleteAndWait("copy");
    await snapshot.wait({ timeoutMs: patienceMs });
    await volume.wait({ timeoutMs: patienceMs });
    expect(await snapshotsIn(world.storage("storage"))).toEqual([]);
  });

  it("of a volume that a running VM writes to can be taken; going back to it waits for nobody, and is refused", async () => {
    await using opened = await open();
    const { dc } = opened;
    await prepare(opened);
    await waitForAll(await requestVms(dc, ["vm"]));
    const [disk] = (await dc.vms.get("vm")).status.disks ?? [];
    const volume = disk?.volume ?? "";
    await dc.volumeSnapshots.createAndWait({ name: "live", spec: { volume } });
    await expect(dc.volumes.revert(volume, { snapshot: "live" })).rejects.toMatchObject({
      code: "FAILED_PRECONDITION",
      blockers: [{ kind: "VirtualMachine", name: "vm" }],
    });
    await expect(dc.volumes.revert(volume, { snapshot: "never-was" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    const { task } = await dc.vms.apply("vm", { power: "off" });
    await task.wait({ timeoutMs: patienceMs });
    const { task: revert } = await dc.volumes.revert(volume, { snapshot: "live" });
    await revert.wait({ timeoutMs: patienceMs });
    await dc.volumeSnapshots.deleteAndWait("live");
  });

  it("is taken once, though answers are lost, and what has no object is swept", async () => {
    await using opened = await open();
    const { dc, world } = opened;
    await dc.volumes.createAndWait({ name: "disk", spec: { storage: "storage", capacityBytes: mib } });
    world.faults.add({ operation: "snapshots.createSnapshot", probability: 0.5, crashAfter: true });
    const names = numbered("kept", 12);
    const accepted = await Promise.all(
      names.map((name) => dc.volumeSnapshots.create({ name, spec: { volume: "disk" } })),
    );
    await waitForAll(accepted.map(({ task }) => task));
    world.faults.clear();
    const storage = world.storage("storage");
    expect(await snapshotsIn(storage)).toHaveLength(names.length);
    // One that a manager made and whose object is gone: it bears this datacenter's stamp, and nobody's uid.
    const { volumeId = "" } = (await dc.volumes.get("disk")).status;
    const owner = { datacenter: dc.uid, tenant: "default", kind: "VolumeSnapshot", name: "gone", uid: "gone" };
    await storage.facets?.snapshots?.createSnapshot({ name: "gone-1", volumeId, owner }, context);
    const foreign = { ...owner, datacenter: "another" };
    await storage.facets?.snapshots?.createSnapshot({ name: "foreign", volumeId, owner: foreign }, context);
    await dc.sweep();
    const left = (await snapshotsIn(storage)).map(({ name }) => name);
    expect(left).toHaveLength(names.length + 1);
    expect(left).toContain("foreign");
    const kept = (await snapshotsIn(storage)).find(({ name }) => name === "foreign");
    await storage.facets?.snapshots?.deleteSnapshot({ snapshotId: kept?.snapshotId ?? "" }, context);
  });
});
