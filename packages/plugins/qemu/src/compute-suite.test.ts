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
      };
    },
    async dispose() {
      await host.dispose();
      for (const disk of disks) await disk.close();
    },
  };
}

describe.skipIf(lacksQemu())("QEMU", () => describeSuite(computeSuite, { create }));
