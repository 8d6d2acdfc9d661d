import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { storageProvider } from "@vdc-os/core/storage/v1";
import { DatacenterRecovery } from "@vdc-os/plugin-data-recovery";
import { Qcow2Image } from "@vdc-os/qcow2";
import type { Datacenter } from "@vdc-os/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { addGuestImage, askGuest, startWriting, stopWriting } from "../datacenter/guest.ts";
import { missingPrograms } from "@vdc-os/testing";
import { openRealDatacenter } from "../datacenter/open-real-datacenter.ts";
import { findProcesses } from "../datacenter/owned-processes.ts";
import { patienceMs } from "../datacenter/patience.ts";

const MiB = 1 << 20;
const capacityBytes = 24 * MiB;
const programs = ["qemu-system-x86_64", "apt-get", "dpkg-deb"];
const skip = missingPrograms(programs, "backing up VMs that run is not tested");

describe.skipIf(skip)("data recovery of a VM that runs", () => {
  let base: string;
  let dc: Datacenter;

  beforeAll(async () => {
    base = await mkdtemp(join(tmpdir(), "bu"));
    const place = { directory: join(base, "dc"), outside: join(base, "o"), repository: join(base, "repository") };
    dc = await openRealDatacenter({ ...place, virtualMachines: true });
    await addGuestImage(dc);
    for (const name of ["data", "log"]) {
      await dc.volumes.createAndWait({ name, spec: { storage: "thin", capacityBytes } });
    }
    const disks = ["data", "log"].map((volume) => ({ kind: "volume", volume }) as const);
    await dc.vms.createAndWait({ name: "vm", spec: { image: "guest", cpus: 1, memoryBytes: 192 * MiB, disks } });
    await dc.vms.waitForConsole("vm", /VDC-READY/, { timeoutMs: patienceMs });
    await askGuest(dc, "vm", "head -c 3000000 /dev/urandom >/log; dd if=/log of=/dev/vdb conv=fsync");
    await askGuest(dc, "vm", startWriting(capacityBytes));
  });

  afterAll(async () => {
    await dc?.destroy();
    const left = await findProcesses(base);
    await rm(base, { recursive: true, force: true });
    expect(left).toEqual([]);
  });

  const writtenBlocks = async (): Promise<number> => Number(await askGuest(dc, "vm", "cat /count || echo 0"));

  /** What a volume of the pool that nobody has attached holds. */
  async function digestOf(volume: string): Promise<string> {
    const { volumeId = "" } = (await dc.volumes.get(volume)).status;
    const path = join(base, "dc", "pool", "volumes", volumeId, "disk.qcow2");
    await using image = await Qcow2Image.open(path, { readOnly: true });
    const content = Buffer.alloc(capacityBytes);
    await image.read(content, 0);
    return createHash("sha256").update(content).digest("hex");
  }

  test("backs it up in full and by what changed, and restores what it held, bit for bit", async () => {
    const recovery = new DatacenterRecovery(dc, dc.kernel.get(backupRepository));
    await expect.poll(writtenBlocks, { timeout: patienceMs }).toBeGreaterThan(5);
    const full = await recovery.backUpVm("vm", { name: "p1" });
    expect(full).toMatchObject({ consistency: "group", labels: { vm: "vm" } });
    const count = await writtenBlocks();
    await expect.poll(writtenBlocks, { timeout: patienceMs }).toBeGreaterThan(count + 5);
    const second = await recovery.backUpVm("vm", { name: "p2" });
    expect(second.disks.map(({ reading }) => reading)).toEqual(["changed", "changed"]);
    // Nothing was written to the second disk since.
    expect(second.disks[1]?.newBytes).toBe(0);

    expect(await askGuest(dc, "vm", `${stopWriting}; cat /lost`)).toMatch(/No such file/);
    const inGuest = async (disk: string): Promise<string> =>
      (await askGuest(dc, "vm", `sha256sum ${disk}`)).slice(0, 64);
    const digests = [await inGuest("/dev/vda"), await inGuest("/dev/vdb")];
    expect(await inGuest("/shadow")).toBe(digests[0]);
    const third = await recovery.backUpVm("vm", { name: "p3" });

    for (const [index, { diskId }] of third.disks.entries()) {
      const volume = `restored-${index}`;
      await dc.volumes.createAndWait({ name: volume, spec: { storage: "thin", capacityBytes } });
      await recovery.restoreDisk(third.recoveryPointId, { diskId, volume });
      expect(await digestOf(volume)).toBe(digests[index]);
    }
    await recovery.repository.verify({});
    const { removed } = await recovery.repository.prune({ keep: { last: 1 } });
    expect(removed.length).toBe(2);
    await recovery.repository.verify({});
    // The VM has run all the while, and nothing that the backups needed is left.
    expect(await inGuest("/shadow")).toBe(digests[0]);
    const storage = dc.kernel.get(storageProvider, "thin");
    const snapshots = await storage.facet("snapshots");
    if (!snapshots.available) throw new Error(snapshots.reason);
    expect((await snapshots.operations.listSnapshots({})).items).toEqual([]);
  });
});
