import type { FacetAvailability } from "@vdc-os/core";
import type { AcceleratorFinding } from "./accelerator.ts";

/** What the plugin says of each facet, and on what grounds. */
export function describeFacets(
  version: string,
  accelerator: AcceleratorFinding,
  hasQemuImg: boolean,
): Readonly<Record<string, FacetAvailability>> {
  const qemu = `QEMU ${version}, ${accelerator.kind}`;
  const absent = (reason: string): FacetAvailability => ({ status: "unavailable", reason, evidence: qemu });
  const served = ["nbd-unix", "nbd-tcp", "file", "block"];
  const available = (evidence: string, transports: readonly string[]): FacetAvailability => ({
    status: "available",
    limits: { transports },
    evidence: `${qemu}: ${evidence}`,
  });
  const losesPages = accelerator.kind === "tcg" && Number(version.split(".")[0]) < 9;
  return {
    hotAdd: absent("not implemented by this version of the plugin"),
    replica: absent("not implemented by this version of the plugin"),
    nativeMigration: losesPages
      ? absent("unsafe: QEMU before 9.0 loses dirty pages under TCG while it reports success")
      : absent("not implemented by this version of the plugin"),
    templates: absent("not implemented by this version of the plugin"),
    snapshotWithMemory: absent("not implemented by this version of the plugin"),
    directPath: absent("not implemented by this version of the plugin"),
    guestAgent: absent("not implemented by this version of the plugin: guests are reached by their console"),
    storageMigration: available("'blockdev-mirror' with 'copy-mode' 'write-blocking'", served),
    diskCopy: hasQemuImg
      ? available("'qemu-img convert'", served)
      : absent("there is no 'qemu-img' on this host: install it (Debian and Ubuntu: 'apt-get install qemu-utils')"),
    diskResize: available("'block_resize', over NBD with a client that connects anew", served),
  };
}
