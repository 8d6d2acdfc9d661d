import type { ProcessIdentity } from "@vdc-os/core/local";
import { type QemuEnd, type QemuPaths, QemuProcess } from "./qemu-process.ts";
import type { VmRecord } from "./vm-record.ts";

/** A QEMU of a VM, and which start it comes from. */
export type SpawnedProcess = ProcessIdentity & { readonly spawn: string };

/** What became of a VM while nobody looked: its QEMU goes on, or has an end to be noted, or there was none. */
export interface Survivor {
  readonly process?: QemuProcess;
  readonly end?: QemuEnd;
}

/** Looks at the QEMU of a VM's last start; `main` is `undefined` where it is gone. One that is not to go on is the caller's to end. */
export async function findSurvivor(
  { run, wanted }: VmRecord,
  main: SpawnedProcess | undefined,
  { bootId, paths }: { readonly bootId: string; readonly paths: QemuPaths },
): Promise<Survivor> {
  // An interrupted start was never acknowledged: it did not crash.
  const interrupted = { crashed: false, detail: wanted === "off" ? "stopped" : "its start was interrupted" };
  if (main === undefined) {
    if (run === undefined) return {};
    if (run.startedAt === undefined || wanted === "off") return { end: interrupted };
    const lost = run.bootId === bootId ? "QEMU was gone when the host's runtime returned" : "the host was started anew";
    return { end: { crashed: true, detail: lost } };
  }
  const process = QemuProcess.adopt(main, paths);
  const status = await process.connect({ timeoutMs: 5_000 }).catch(() => undefined);
  if (wanted === "running" && status !== "prelaunch") return { process };
  process.release();
  return { end: interrupted };
}
