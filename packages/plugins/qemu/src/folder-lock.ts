import { VdcError } from "@vdc-os/core";
import { type ProcessLock, takeProcessLock } from "@vdc-os/core/remote";

/** How long an earlier runtime of the same folder may take to die. */
const lockPatienceMs = 5_000;

/** Makes this process the only one that has the VMs of a folder. Fails with `FAILED_PRECONDITION`, reason `VDC_LOCKED`. */
export async function takeFolder(root: string): Promise<ProcessLock> {
  const giveUp = performance.now() + lockPatienceMs;
  for (;;) {
    try {
      return await takeProcessLock(`qemu ${root}`);
    } catch (cause) {
      if (performance.now() > giveUp) {
        throw new VdcError("FAILED_PRECONDITION", `another process has the VMs of '${root}' open`, {
          reason: "VDC_LOCKED",
          cause,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
