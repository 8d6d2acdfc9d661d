import type { FacetAvailability } from "@vdc-os/core";
import type { AcceleratorFinding } from "./accelerator.ts";

/** What the plugin says of each facet, and on what grounds. */
export function describeFacets(
  version: string,
  accelerator: AcceleratorFinding,
): Readonly<Record<string, FacetAvailability>> {
  const qemu = `QEMU ${version}, ${accelerator.kind}`;
  const absent = (reason: string): FacetAvailability => ({ status: "unavailable", reason, evidence: qemu });
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
  };
}
