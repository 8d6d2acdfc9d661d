import { createOperationContext, isVdcError } from "@vdc-os/core";
import { storageProvider, type StorageAttributes } from "@vdc-os/core/storage/v1";
import {
  capacityCondition,
  compliantCondition,
  findCondition,
  type StoragePoolStatus,
  type Resource,
} from "@vdc-os/sdk";
import { describe, expect, it } from "vitest";
import { numbered, patienceMs } from "./fleet.ts";
import { openSimulatedDatacenter, type SimulatedDatacenter } from "./open-simulated-datacenter.ts";

const gib = 2 ** 30;
const context = createOperationContext();

interface Pools extends SimulatedDatacenter {
  readonly fast: { -readonly [Name in keyof StorageAttributes]: StorageAttributes[Name] };
}

/** A datacenter with `fast` (SSD, 100 GiB), `slow` (HDD, 400 GiB) and `storage`, which tells nothing of its media. */
async function open(): Promise<Pools> {
  const fast: Pools["fast"] = { media: "ssd", redundancy: 1, encryptedAtRest: true };
  const opened = await openSimulatedDatacenter({
    hostMemoryBytes: [gib],
    storages: ["fast", "slow"],
    world: {
      pools: {
        fast: { totalBytes: 100 * gib, maxOverSubscription: 4, attributes: fast, alarmThresholds: [0.5] },
        slow: { totalBytes: 400 * gib, maxOverSubscription: 4, attributes: { media: "hdd", redundancy: 2 } },
        storage: { totalBytes: gib, attributes: {} },
      },
    },
    more: { storagePollIntervalMs: 20 },
  });
  return { ...opened, fast, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

const conditionOf = async ({ dc }: Pools, name: string) =>
  findCondition((await dc.volumes.get(name)).conditions, compliantCondition);

describe("a storage policy", () => {
  it("chooses a volume's storage once, says why there and why not elsewhere, and is kept for as long as it is named", async () => {
    await using opened = await open();
    const { dc } = opened;
    await dc.storagePolicies.createAndWait({ name: "gold", spec: { attributes: { media: { in: ["ssd", "nvme"] } } } });
    const { status } = await dc.volumes.createAndWait({ name: "disk", spec: { policy: "gold", capacityBytes: gib } });
    expect(status).toMatchObject({
      storage: "fast",
      placement: {
        reason: "of 1 that fit, 99 % free after it",
        rejected: { slow: "has attribute 'media' 'hdd', and must be 'ssd' or 'nvme'", storage: expect.anything() },
      },
    });
    expect(await conditionOf(opened, "disk")).toMatchObject({ status: "True", reason: "Satisfied" });
    const removal = await dc.storagePolicies.delete("gold");
    await expect
      .poll(async () => findCondition((await dc.storagePolicies.get("gold")).conditions, "Ready")?.reason)
      .toBe("InUse");
    await dc.volumes.deleteAndWait("disk");
    await removal.wait({ timeoutMs: patienceMs });
  });

  it("places the disks of a VM too", async () => {
    await using opened = await open();
    const { dc } = opened;
    await dc.storagePolicies.createAndWait({ name: "hdd", spec: { attributes: { media: { in: ["hdd"] } } } });
    const boot = { kind: "kernel", kernel: "/none", commandLine: "" } as const;
    await dc.images.createAndWait({ name: "diskless", spec: { boot } });
    const disks = [{ kind: "empty", policy: "hdd", capacityBytes: gib }] as const;
    const spec = { image: "diskless", cpus: 1, memoryBytes: 2 ** 28, disks };
    await dc.vms.createAndWait({ name: "vm", spec }, { timeoutMs: patienceMs });
    const [volume] = await dc.volumes.list();
    expect([volume?.spec.policy, volume?.status.storage, volume?.status.attachedTo?.vm]).toEqual(["hdd", "slow", "vm"]);
  });

  it("that nobody satisfies fails the volume, and says for each provider why", async () => {
    await using opened = await open();
    const { dc } = opened;
    await dc.storagePolicies.createAndWait({
      name: "diamond",
      spec: { attributes: { redundancy: { atLeast: 3 } }, encryption: "required" },
    });
    const failure = await dc.volumes
      .createAndWait({ name: "disk", spec: { policy: "diamond", capacityBytes: gib } }, { timeoutMs: patienceMs })
      .catch((error: unknown) => error);
    if (!isVdcError(failure)) throw new Error("the volume was made");
    expect([failure.code, failure.reason]).toEqual(["RESOURCE_EXHAUSTED", "VDC_NO_STORAGE"]);
    for (const part of ["'fast' has attribute 'redundancy' '1'", "'slow'", "does not encrypt", "'storage'"]) {
      expect(failure.message).toContain(part);
    }
    // It becomes possible when the policy asks for less.
    await dc.storagePolicies.update("diamond", { attributes: { redundancy: { atLeast: 2 } } });
    await expect.poll(async () => (await dc.volumes.get("disk")).status.storage, { timeout: patienceMs }).toBe("slow");
  });

  it("goes by the labels that the operator gives the pools, and by what they take", async () => {
    await using opened = await open();
    const { dc } = opened;
    await dc.storagePools.update("fast", { schedulable: false });
    await dc.storagePolicies.createAndWait({ name: "any", spec: { provisioning: "thin" } });
    const first = await dc.volumes.createAndWait({ name: "first", spec: { policy: "any", capacityBytes: gib } });
    expect(first.status.storage).toBe("slow");
    expect(first.status.placement?.rejected.fast).toContain("takes no new volumes");
    await dc.volumes.createAndWait({ name: "named", spec: { storage: "fast", capacityBytes: gib } });
  });

  it("puts its limits in force, keeps to them when it changes, and lifts them", async () => {
    await using opened = await open();
    const { dc, world } = opened;
    await dc.storagePolicies.createAndWait({ name: "limited", spec: { qos: { iops: 100, bytesPerSecond: 0 } } });
    const { status } = await dc.volumes.createAndWait({
      name: "disk",
      spec: { policy: "limited", capacityBytes: gib },
    });
    const { storage = "", volumeId = "" } = status;
    const inForce = async () => (await world.storage(storage).facets?.qos?.getQos({ volumeId }, context))?.iops;
    expect(await inForce()).toBe(100);
    await dc.storagePolicies.update("limited", { qos: { iops: 50, bytesPerSecond: 0 } });
    await expect.poll(inForce).toBe(50);
    await dc.storagePolicies.update("limited", {});
    await expect.poll(inForce).toBe(0);
    // A provider that does not do as it is told: the volume says so.
    world.faults.add({ operation: "qos.setQos", error: "OUT_OF_RANGE" });
    await dc.storagePolicies.update("limited", { qos: { iops: 10, bytesPerSecond: 0 } });
    await expect.poll(async () => (await conditionOf(opened, "disk"))?.status).not.toBe("True");
    world.faults.clear();
  });

  it("is held against what the provider says later: a volume says that it does not comply, and when it does again", async () => {
    await using opened = await open();
    const { dc, fast } = opened;
    await dc.storagePolicies.createAndWait({ name: "safe", spec: { encryption: "required" } });
    await dc.volumes.createAndWait({ name: "disk", spec: { policy: "safe", capacityBytes: gib } });
    fast.encryptedAtRest = false;
    const compliant = async () => (await conditionOf(opened, "disk"))?.status;
    await expect.poll(compliant, { timeout: patienceMs }).toBe("False");
    expect(await conditionOf(opened, "disk")).toMatchObject({
      reason: "StorageDiffers",
      message: "storage 'fast' does not encrypt what it keeps",
    });
    fast.encryptedAtRest = true;
    await expect.poll(compliant, { timeout: patienceMs }).toBe("True");
  });

  it("does not promise more than the operator allows, however many volumes come at once", async () => {
    await using opened = await open();
    const { dc, world } = opened;
    await dc.storagePools.update("slow", { schedulable: false });
    await dc.storagePools.update("fast", { schedulable: true, maxOverSubscription: 1 });
    await dc.storagePolicies.createAndWait({ name: "ssd", spec: { attributes: { media: { in: ["ssd"] } } } });
    const spec = { capacityBytes: 15 * gib };
    const accepted = await Promise.all(
      numbered("disk", 10).map((name, index) =>
        dc.volumes.create({ name, spec: index % 2 === 0 ? { ...spec, policy: "ssd" } : { ...spec, storage: "fast" } }),
      ),
    );
    const ends = await Promise.allSettled(accepted.map(({ task }) => task.wait({ timeoutMs: patienceMs })));
    expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(6);
    const { provisionedBytes } = await world.storage("fast").capacity({}, context);
    expect(provisionedBytes).toBe(90 * gib);
    const grown = dc.volumes.update("disk-1", ({ spec: present }) => ({ ...present, capacityBytes: 40 * gib }));
    await expect(grown.then(({ task }) => task.wait({ timeoutMs: patienceMs }))).rejects.toMatchObject({
      reason: "VDC_NO_STORAGE",
    });
  });

  it("takes the next provider when the first has no room after all, and leaves nothing there", async () => {
    await using opened = await open();
    const { dc, world } = opened;
    await dc.storagePolicies.createAndWait({
      name: "fast-first",
      spec: { preferredLabels: { tier: "1" }, attributes: { redundancy: { atLeast: 1 } } },
    });
    world.faults.add({ operation: "createVolume", nth: 1, error: "RESOURCE_EXHAUSTED" });
    const { status } = await dc.volumes.createAndWait({
      name: "disk",
      spec: { policy: "fast-first", capacityBytes: gib },
    });
    const [first] = Object.entries(status.placement?.rejected ?? {}).filter(([, why]) => why.startsWith("has no room"));
    expect([first?.[0], status.storage].sort()).toEqual(["fast", "slow"]);
    const left = await world.storage(first?.[0]).listVolumes({}, context);
    expect(left.items).toEqual([]);
  });
});

describe("storage pools", () => {
  it("tell whoever watches when a threshold is passed, and when all is well again", async () => {
    await using opened = await open();
    const { dc, world } = opened;
    const seen: string[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const event of dc.storagePools.watch({ signal: stop.signal })) {
        if (event.type !== "changed" || event.object.metadata.name !== "fast") continue;
        const { status, reason } = findCondition(event.object.conditions, capacityCondition) ?? {};
        if (seen.at(-1) !== `${status} ${reason}`) seen.push(`${status} ${reason}`);
      }
    })().catch(() => {});
    await expect.poll(async () => (await poolOf(opened, "fast")).status.capacity?.totalBytes).toBe(100 * gib);
    const { volumeId } = await world.storage("fast").createVolume({ name: "other", capacityBytes: 300 * gib }, context);
    await expect.poll(() => seen.at(-1), { timeout: patienceMs }).toBe("False Provisioned");
    await world.storage("fast").deleteVolume({ volumeId }, context);
    await expect.poll(() => seen.at(-1), { timeout: patienceMs }).toBe("True Enough");
    stop.abort();
    await watching;
  });

  it("say what a provider is, and when it does not answer", async () => {
    await using opened = await open();
    const { dc, world } = opened;
    await expect.poll(async () => (await poolOf(opened, "slow")).status.facets).toContain("snapshots");
    expect((await dc.storagePools.list()).map(({ metadata }) => metadata.name)).toEqual(["fast", "slow", "storage"]);
    expect((await poolOf(opened, "slow")).status).toMatchObject({
      attributes: { media: "hdd" },
      health: { condition: "healthy" },
    });
    const restore = world.faults.add({ operation: "capacity", error: "UNAVAILABLE" });
    const ready = async () => findCondition((await poolOf(opened, "slow")).conditions, "Ready");
    await expect.poll(async () => (await ready())?.reason, { timeout: patienceMs }).toBe("Unreachable");
    restore();
    await expect.poll(async () => (await ready())?.status, { timeout: patienceMs }).toBe("True");
    expect(dc.kernel.all(storageProvider).names()).toHaveLength(3);
  });
});

const poolOf = ({ dc }: Pools, name: string): Promise<Resource<unknown, StoragePoolStatus>> =>
  dc.storagePools.get(name);
