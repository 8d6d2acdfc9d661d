import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type ComputeInstance, computeSuite } from "@vdc-os/ready/compute";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { guestImage, guestSpec, lacksQemu } from "../test/guest.ts";
import { type ServedDisk, serveDisk } from "../test/served-disk.ts";
import { TestHost } from "../test/test-host.ts";

async function create(): Promise<ComputeInstance> {
  const spec = guestSpec(await guestImage());
  const host = await TestHost.create();
  const disks: ServedDisk[] = [];
  return {
    implementation: await host.open(),
    spec,
    greeting: "VDC-READY",
    // Ends in an orderly way: what `kill -9` leaves is tried by a test of its own, with a process to kill.
    reopen: () => host.open(),
    async makeVolume(capacityBytes) {
      const disk = await serveDisk(host.socket(`${disks.length}.nbd`), capacityBytes);
      disks.push(disk);
      return {
        transport: disk.transport,
        read: async () => disk.content,
        write: async (bytes) => disk.content.set(bytes),
        grow: async (toBytes) => disk.grow(toBytes),
      };
    },
    async dispose() {
      await host.dispose();
      for (const disk of disks) await disk.close();
    },
  };
}

/** Volumes that QEMU opens by itself, as raw files. */
async function withFiles(): Promise<ComputeInstance> {
  const spec = guestSpec(await guestImage());
  const host = await TestHost.create();
  let made = 0;
  return {
    implementation: await host.open(),
    spec,
    reopen: () => host.open(),
    async makeVolume(capacityBytes) {
      const path = join(host.directory, `${made++}.raw`);
      await writeFile(path, Buffer.alloc(capacityBytes));
      return {
        transport: { kind: "file", path, format: "raw" },
        read: () => readFile(path),
        write: (bytes) => writeFile(path, bytes),
        grow: (toBytes) => truncate(path, toBytes),
      };
    },
    dispose: () => host.dispose(),
  };
}

describe.skipIf(lacksQemu())("QEMU", () => {
  describeSuite(computeSuite, { create });

  describe("with files", () => {
    const requirements = computeSuite.requirements.filter(({ facet }) => facet === "diskResize");
    describeSuite({ ...computeSuite, requirements }, { create: withFiles });
  });
});
