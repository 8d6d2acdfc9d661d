import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Progress } from "@vdc-os/core";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { backingFolder, Qcow2Image } from "@vdc-os/qcow2";
import type { Datacenter } from "@vdc-os/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addGuestImage, askGuest, startWriting, stopWriting } from "../datacenter/guest.ts";
import { missingPrograms } from "@vdc-os/testing";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";
import { findProcesses } from "../datacenter/owned-processes.ts";
import { patienceMs } from "../datacenter/patience.ts";

const MiB = 1 << 20;
const capacityBytes = 32 * MiB;
const programs = ["qemu-system-x86_64", "qemu-img", "apt-get", "dpkg-deb"];
const skip = missingPrograms(programs, "moving volumes of VMs that run is not tested");

describe.skipIf(skip)("Storage VMotion", () => {
  let base: string;
  let dc: Datacenter;

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), "sv"));
    const place = { directory: join(base, "dc"), outside: join(base, "o") };
    dc = await openRealDatacenter({ ...place, virtualMachines: true, pools: ["second"] });
    await addGuestImage(dc);
    await dc.volumes.createAndWait({ name: "data", spec: { storage: "thin", capacityBytes } });
    const disks = [{ kind: "volume", volume: "data" }] as const;
    await dc.vms.createAndWait({ name: "vm", spec: { image: "guest", cpus: 1, memoryBytes: 192 * MiB, disks } });
    await dc.vms.waitForConsole("vm", /VDC-READY/, { timeoutMs: patienceMs });
    await askGuest(dc, "vm", startWriting(capacityBytes));
  });

  afterAll(async () => {
    await dc?.destroy();
    const left = await findProcesses(base);
    await rm(base, { recursive: true, force: true });
    expect(left).toEqual([]);
  });

  /** The storage providers that have a volume now. */
  async function places(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const name of ["thin", "second", "storage"]) {
      const { items } = await dc.kernel.get(storageProvider, name).listVolumes({});
      found.push(...items.map(() => name));
    }
    return found;
  }

  async function writtenBlocks(): Promise<number> {
    return Number(await askGuest(dc, "vm", "cat /count || echo 0"));
  }

  test("moves a volume there, back, and to another kind of provider, while its guest writes", async () => {
    const before = (await dc.vms.get("vm")).status;
    for (const storage of ["second", "thin", "storage"]) {
      const count = await writtenBlocks();
      const progress: Progress[] = [];
      const { task } = await dc.volumes.apply("data", { storage });
      const { status } = await task.wait({ timeoutMs: patienceMs, onProgress: (update) => progress.push(update) });
      expect(status).toMatchObject({ storage, attachedTo: { vm: "vm", generation: before.generation } });
      expect(status.move).toBeUndefined();
      // A volume of the linked clones is one of the pool below, too.
      expect(await places()).toEqual(storage === "storage" ? ["thin", "storage"] : [storage]);
      expect(progress.at(-1)?.message).toBe(`moving to storage '${storage}'`);
      await expect.poll(writtenBlocks, { timeout: patienceMs }).toBeGreaterThan(count);
    }
    const after = (await dc.vms.get("vm")).status;
    expect([after.vmId, after.startedAt, after.generation]).toEqual([before.vmId, before.startedAt, before.generation]);
  });

  test("leaves the volume where it is when that is cancelled, at any moment", async () => {
    for (const waitMs of [0, 150, 400]) {
      const { storage: home } = (await dc.volumes.get("data")).status;
      const { task } = await dc.volumes.apply("data", { storage: "second" });
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      // It may be too late for that.
      await task
        .cancel()
        .catch((error: unknown) => expect(error).toMatchObject({ reason: "VDC_TASK_NOT_CANCELLABLE" }));
      await expect
        .poll(async () => (await dc.volumes.get("data")).status.move === undefined, { timeout: patienceMs })
        .toBe(true);
      const { spec, status } = await dc.volumes.get("data");
      const isCancelled = (await dc.tasks.get(task.id)).state === "cancelled";
      expect(status.storage).toBe(isCancelled ? home : "second");
      expect(spec.storage).toBe(status.storage);
      expect(await places()).toEqual(status.storage === "storage" ? ["thin", "storage"] : [status.storage]);
    }
  });

  test("has lost no write, bit for bit, as the guest sees it and as it lies; and moves when nobody has it attached", async () => {
    expect(await askGuest(dc, "vm", `${stopWriting}; cat /lost`)).toMatch(/No such file/);
    const digest = (await askGuest(dc, "vm", "sha256sum /shadow")).slice(0, 64);
    expect((await askGuest(dc, "vm", "sha256sum /dev/vda")).slice(0, 64)).toBe(digest);
    expect(await writtenBlocks()).toBeGreaterThan(20);
    // After a power cycle the VM has the volume where it is now.
    const off = await dc.vms.apply("vm", { power: "off" });
    await off.task.wait({ timeoutMs: patienceMs });
    const from = (await dc.volumes.get("data")).status.storage;
    const { task } = await dc.volumes.apply("data", { storage: from === "second" ? "thin" : "second" });
    const { status } = await task.wait({ timeoutMs: patienceMs });
    const pool = from === "second" ? "pool" : "second";
    const folder = join(base, "dc", pool, "volumes");
    const image = await Qcow2Image.open(join(folder, status.volumeId ?? "", "disk.qcow2"), {
      readOnly: true,
      resolveBacking: backingFolder(folder),
    });
    const content = Buffer.alloc(capacityBytes);
    await image.read(content, 0);
    await image.close();
    expect(createHash("sha256").update(content).digest("hex")).toBe(digest);
    const on = await dc.vms.apply("vm", { power: "on" });
    await on.task.wait({ timeoutMs: patienceMs });
    await dc.vms.waitForConsole("vm", /VDC-READY/, { timeoutMs: patienceMs });
    expect((await askGuest(dc, "vm", "sha256sum /dev/vda")).slice(0, 64)).toBe(digest);
  });
});
