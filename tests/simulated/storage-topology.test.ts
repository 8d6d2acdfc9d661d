import { isVdcError } from "@vdc-os/core";
import { describe, expect, it } from "vitest";
import { patienceMs } from "./fleet.ts";
import { openSimulatedDatacenter, type SimulatedDatacenter } from "./open-simulated-datacenter.ts";

const gib = 2 ** 30;
const wait = { timeoutMs: patienceMs };

/** Hosts h1 and h2 reach storage `rack-1`, h3 reaches `rack-2`, which has more room; all reach `storage`. */
async function open(): Promise<SimulatedDatacenter> {
  const pool = (totalBytes: number, ...accessibleHosts: string[]) => ({
    totalBytes,
    attributes: { media: "ssd", accessibleHosts },
  });
  const opened = await openSimulatedDatacenter({
    hostMemoryBytes: [gib, gib, 4 * gib],
    storages: ["rack-1", "rack-2"],
    world: { pools: { "rack-1": pool(100 * gib, "h1", "h2"), "rack-2": pool(400 * gib, "h3") } },
  });
  await opened.dc.storagePolicies.createAndWait({ name: "ssd", spec: { attributes: { media: { in: ["ssd"] } } } });
  const boot = { kind: "kernel", kernel: "/none", commandLine: "" } as const;
  await opened.dc.images.createAndWait({ name: "diskless", spec: { boot } });
  return opened;
}

const vmOf = (more: object) => ({ image: "diskless", cpus: 1, memoryBytes: 2 ** 28, ...more });

describe("storage that not all hosts reach", () => {
  it("takes a volume where the hosts that it names reach it, and none where no pool is reached by all", async () => {
    await using opened = await open();
    const { dc } = opened;
    const spec = { policy: "ssd", capacityBytes: gib };
    const free = await dc.volumes.createAndWait({ name: "free", spec }, wait);
    expect([free.status.storage, free.status.accessibleHosts]).toEqual(["rack-2", ["h3"]]);
    const bound = await dc.volumes.createAndWait({ name: "bound", spec: { ...spec, accessibleHosts: ["h2"] } }, wait);
    expect(bound.status).toMatchObject({ storage: "rack-1", accessibleHosts: ["h2"] });
    expect(bound.status.placement?.rejected["rack-2"]).toBe("isn't reached by 'h2'");
    const both = { capacityBytes: gib, accessibleHosts: ["h1", "h3"] };
    const torn = { "by-policy": { ...both, policy: "ssd" }, "by-name": { ...both, storage: "rack-1" } };
    for (const [name, asked] of Object.entries(torn)) {
      const failure = await dc.volumes.createAndWait({ name, spec: asked }, wait).catch((error: unknown) => error);
      if (!isVdcError(failure)) throw new Error("the volume was made");
      expect([failure.code, failure.reason]).toEqual(["RESOURCE_EXHAUSTED", "VDC_NO_STORAGE"]);
      expect(failure.message).toContain("'rack-1' isn't reached by 'h3'");
    }
    const moved = dc.volumes.update("bound", ({ spec: now }) => ({ ...now, accessibleHosts: ["h1"] }));
    await expect(moved).rejects.toMatchObject({ reason: "VDC_ADMISSION_REFUSED" });
    const clone = { kind: "clone", volume: "bound", want: "linked" } as const;
    const cloned = dc.volumes.create({
      name: "clone",
      spec: { storage: "rack-1", content: clone, accessibleHosts: ["h2"] },
    });
    await expect(cloned).rejects.toMatchObject({ reason: "VDC_ADMISSION_REFUSED" });
  });

  it("has its VMs where they reach their disks, though another host has more memory", async () => {
    await using opened = await open();
    const { dc } = opened;
    await dc.volumes.createAndWait({ name: "data", spec: { storage: "rack-1", capacityBytes: gib } }, wait);
    await dc.volumes.createAndWait({ name: "far", spec: { storage: "rack-2", capacityBytes: gib } }, wait);
    const data = { kind: "volume", volume: "data" } as const;
    const far = { kind: "volume", volume: "far" } as const;
    const near = await dc.vms.createAndWait({ name: "near", spec: vmOf({ disks: [data] }) }, wait);
    expect(["h1", "h2"]).toContain(near.status.host);
    const none = await dc.vms
      .createAndWait({ name: "none", spec: vmOf({ disks: [data, far] }) }, wait)
      .catch((error: unknown) => error);
    expect(none).toMatchObject({ reason: "VDC_NO_HOST" });
    expect(String(none)).toContain("is not reached by the VM's networks or volumes");
    const roomy = await dc.vms.createAndWait({ name: "roomy", spec: vmOf({ disks: [far] }) }, wait);
    expect(roomy.status.host).toBe("h3");
  });

  it("makes a VM's own disks where the host that the VM asks for reaches them", async () => {
    await using opened = await open();
    const { dc } = opened;
    const disks = [{ kind: "empty", policy: "ssd", capacityBytes: gib }] as const;
    const vm = await dc.vms.createAndWait({ name: "vm", spec: vmOf({ host: "h1", disks }) }, wait);
    expect(vm.status.host).toBe("h1");
    const [volume] = await dc.volumes.list();
    expect(volume?.status.storage).toBe("rack-1");
  });

  it("is moved to by nobody who does not reach it", async () => {
    await using opened = await open();
    const { dc } = opened;
    await dc.volumes.createAndWait({ name: "data", spec: { storage: "rack-1", capacityBytes: gib } }, wait);
    const disks = [{ kind: "volume", volume: "data" }] as const;
    await dc.vms.createAndWait({ name: "vm", spec: vmOf({ disks }) }, wait);
    const { task } = await dc.volumes.apply("data", { storage: "rack-2" });
    const failure = await task.wait(wait).catch((error: unknown) => error);
    expect(String(failure)).toMatch(/storage 'rack-2' isn't reached by host 'h[12]', where VM 'vm' has volume 'data'/);
    expect((await dc.volumes.get("data")).status).toMatchObject({ storage: "rack-1" });
  });
});
