import { type ComputeInstance, computeSuite } from "@vdc-os/ready/compute";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { guestImage, guestSpec, lacksQemu } from "../test/guest.ts";
import { TestHost } from "../test/test-host.ts";

async function create(): Promise<ComputeInstance> {
  const spec = guestSpec(await guestImage());
  const host = await TestHost.create();
  return {
    implementation: await host.open(),
    spec,
    greeting: "VDC-READY",
    // Ends in an orderly way: what `kill -9` leaves is tried by a test of its own, with a process to kill.
    reopen: () => host.open(),
    dispose: () => host.dispose(),
  };
}

describe.skipIf(lacksQemu())("QEMU", () => describeSuite(computeSuite, { create }));
