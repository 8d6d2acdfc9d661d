import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isVdcError } from "@vdc-os/core";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { type Datacenter, findCondition, readyCondition } from "@vdc-os/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeBootDisk } from "../datacenter/boot-disk.ts";
import { missingPrograms } from "@vdc-os/testing";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";
import { findProcesses, findSockets } from "../datacenter/owned-processes.ts";
import { patienceMs } from "../datacenter/patience.ts";

const MiB = 1 << 20;
const skip = missingPrograms(["qemu-system-x86_64"], "what a datacenter of real parts answers is not tested");

describe.skipIf(skip)("a datacenter of real parts", () => {
  let base: string;
  let dc: Datacenter;

  const open = (): Promise<Datacenter> =>
    openRealDatacenter({
      directory: join(base, "dc"),
      outside: join(base, "o"),
      virtualMachines: true,
      hostMemoryBytes: 256 * MiB,
      quotas: { small: { Volume: { count: 1, bytes: 8 * MiB } } },
    });
  const file = (name: string): string => join(base, "o", name);
  const lineage = async () => {
    const facet = await dc.kernel.get(storageProvider, "storage").facet("lineage");
    if (!facet.available) throw new Error(facet.reason);
    return facet.operations.lineageTree({});
  };

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), "ve"));
    await mkdir(file(""), { recursive: true });
    await writeFile(file("golden.raw"), makeBootDisk("golden"));
    dc = await open();
    const content = { kind: "file", path: file("golden.raw"), format: "raw" } as const;
    await dc.volumes.createAndWait({ name: "golden", spec: { storage: "storage", content } });
    await dc.images.createAndWait({ name: "image", spec: { boot: { kind: "disk" }, volume: "golden" } });
    await dc.switches.createAndWait({
      name: "fabric",
      spec: { network: "network", hosts: ["h1", "h2"], portGroups: [{ name: "web" }] },
    });
  });

  afterAll(async () => {
    await dc?.destroy();
    const left = await findProcesses(base);
    await rm(base, { recursive: true, force: true });
    expect(left).toEqual([]);
    expect(await findSockets(base)).toEqual([]);
  });

  test("lets one manager in at a time, and only in the mode that it was made in", async () => {
    await expect(open()).rejects.toMatchObject({ code: "ALREADY_EXISTS" });
    const other = { directory: join(base, "dc2"), outside: join(base, "o2"), virtualMachines: false } as const;
    const durable = await openRealDatacenter(other);
    await durable.close();
    const ephemeral = openRealDatacenter({ ...other, mode: "ephemeral" });
    await expect(ephemeral).rejects.toMatchObject({ code: "FAILED_PRECONDITION", reason: "VDC_DATACENTER_MODE" });
    await (await openRealDatacenter(other)).destroy();
  });

  test("says which image a VM is missing, and makes the VM once it is there", async () => {
    const spec = { image: "later", cpus: 1, memoryBytes: 16 * MiB, power: "on" } as const;
    const { task } = await dc.vms.create({ name: "early", spec });
    await expect(task.wait({ timeoutMs: patienceMs })).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "image 'later' of VM 'early' does not exist",
    });
    await dc.images.createAndWait({ name: "later", spec: { boot: { kind: "disk" }, volume: "golden" } });
    await until(async () => (await dc.vms.get("early")).status.state === "running");
    await dc.vms.deleteAndWait("early", { timeoutMs: patienceMs });
    await dc.images.deleteAndWait("later");
  });

  test("says why no host can take a VM", async () => {
    const spec = { image: "image", cpus: 1, memoryBytes: 300 * MiB };
    const { task } = await dc.vms.create({ name: "large", spec });
    const failure = await task.wait({ timeoutMs: patienceMs }).catch((error: unknown) => error);
    expect(isVdcError(failure, "RESOURCE_EXHAUSTED")).toBe(true);
    expect(String(failure)).toMatch(/no host can take VM 'large': 'h1' .*; 'h2' /);
    await dc.vms.deleteAndWait("large", { timeoutMs: patienceMs });
    expect((await dc.volumes.list()).map(({ metadata }) => metadata.name)).toEqual(["golden"]);
  });

  test("fails a volume that can't be had, and says why", async () => {
    const volumes = [
      ["NOT_FOUND", { content: { kind: "clone", volume: "nowhere", want: "linked" } }],
      ["NOT_FOUND", { content: { kind: "file", path: file("absent.raw"), format: "raw" } }],
      ["OUT_OF_RANGE", { content: { kind: "clone", volume: "golden", want: "linked" }, capacityBytes: 512 * 1024 }],
    ] as const;
    for (const [index, [code, spec]] of volumes.entries()) {
      const name = `impossible-${index}`;
      const { task } = await dc.volumes.create({ name, spec: { storage: "storage", ...spec } });
      await expect(task.wait({ timeoutMs: patienceMs })).rejects.toMatchObject({ code });
      await dc.volumes.deleteAndWait(name, { timeoutMs: patienceMs });
    }
  });

  test("keeps each tenant within its quota", async () => {
    const spec = { storage: "storage", capacityBytes: 4 * MiB };
    const large = dc.volumes.create({ tenant: "small", name: "a", spec: { ...spec, capacityBytes: 16 * MiB } });
    await expect(large).rejects.toMatchObject({ code: "RESOURCE_EXHAUSTED" });
    await dc.volumes.createAndWait({ tenant: "small", name: "a", spec });
    await expect(dc.volumes.create({ tenant: "small", name: "b", spec })).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
    });
    await dc.volumes.deleteAndWait({ tenant: "small", name: "a" });
    await dc.volumes.createAndWait({ tenant: "small", name: "b", spec });
    await dc.volumes.deleteAndWait({ tenant: "small", name: "b" });
  });

  test("keeps a golden volume for its clones, under no name, and lets it go with the last of them", async () => {
    const content = { kind: "file", path: file("golden.raw"), format: "raw" } as const;
    const first = await dc.volumes.createAndWait({ name: "old", spec: { storage: "storage", content } });
    for (const name of ["clone-1", "clone-2"]) {
      const spec = { storage: "storage", content: { kind: "clone", volume: "old", want: "linked" } } as const;
      expect((await dc.volumes.createAndWait({ name, spec })).status.cloneKind).toBe("linked");
    }
    await dc.volumes.deleteAndWait("old", { timeoutMs: patienceMs });
    const { volumeId } = first.status;
    expect((await lineage()).find((entry) => entry.volumeId === volumeId)).toMatchObject({ tombstoned: true });
    // The name is free for something else.
    await dc.volumes.createAndWait({ name: "old", spec: { storage: "storage", capacityBytes: MiB } });
    for (const name of ["clone-1", "clone-2", "old"]) await dc.volumes.deleteAndWait(name, { timeoutMs: patienceMs });
    expect((await lineage()).some((entry) => entry.volumeId === volumeId)).toBe(false);
  });

  test("deletes nothing that a VM uses, until the VM lets go of it", async () => {
    await dc.volumes.createAndWait({ name: "data", spec: { storage: "storage", capacityBytes: 4 * MiB } });
    const spec = {
      image: "image",
      cpus: 1,
      memoryBytes: 16 * MiB,
      disks: [{ kind: "volume", volume: "data" }],
      nics: [{ switch: "fabric", portGroup: "web" }],
    } as const;
    await dc.vms.createAndWait({ name: "user", spec }, { timeoutMs: patienceMs });
    await dc.switches.createAndWait({
      name: "unused",
      spec: { network: "network", hosts: ["h1"], portGroups: [{ name: "web" }] },
    });
    const volume = await dc.volumes.delete("data");
    const network = await dc.switches.delete("fabric");
    await until(async () => {
      const { conditions } = await dc.volumes.get("data");
      return findCondition(conditions, readyCondition)?.message.startsWith("VM 'user' on host ") === true;
    });
    await until(async () => {
      const { conditions } = await dc.switches.get("fabric");
      return findCondition(conditions, readyCondition)?.reason === "InUse";
    });
    await dc.switches.deleteAndWait("unused", { timeoutMs: patienceMs });
    expect([volume.state, network.state]).not.toContain("succeeded");
    await dc.vms.deleteAndWait("user", { timeoutMs: patienceMs });
    await volume.wait({ timeoutMs: patienceMs });
    await network.wait({ timeoutMs: patienceMs });
    expect(await dc.volumes.find("data")).toBeUndefined();
  });
});

/** Waits until something is so. It is asked again after each pause, since what it asks for can't be awaited. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const giveUp = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > giveUp) throw new Error(`it did not come true within ${patienceMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
