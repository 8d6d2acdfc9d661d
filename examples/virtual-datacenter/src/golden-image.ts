import type { GuestImage } from "@vdc-os/guest-image";
import type { Datacenter } from "@vdc-os/sdk";
import { stepTimeoutMs } from "./step-timeout.ts";

/** The golden image's name. */
export const goldenImage = "golden";

/** Makes the golden image of a datacenter: its data disk becomes a volume, which VMs clone. Doing it again changes nothing. */
export async function createGoldenImage(dc: Datacenter, guest: GuestImage, signal: AbortSignal): Promise<void> {
  await dc.volumes.createAndWait(
    {
      name: "golden-disk",
      spec: { storage: "storage", content: { kind: "file", path: guest.dataDisk, format: "raw" } },
    },
    { signal, timeoutMs: stepTimeoutMs },
  );
  const { kernel, initrd, commandLine } = guest;
  await dc.images.createAndWait(
    { name: goldenImage, spec: { boot: { kind: "kernel", kernel, initrd, commandLine }, volume: "golden-disk" } },
    { signal, timeoutMs: stepTimeoutMs },
  );
}
