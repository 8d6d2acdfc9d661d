import { homedir } from "node:os";
import { join } from "node:path";
import type { VmSpec } from "@vdc-os/core/compute/v1";
import { buildGuestImage, type GuestImage } from "@vdc-os/guest-image";
import { missingPrograms } from "@vdc-os/testing";

/** Whether tests with real VMs must be skipped because a program is missing on this machine; says so. */
export function lacksQemu(): boolean {
  const programs = ["qemu-system-x86_64", "apt-get", "dpkg-deb"];
  return missingPrograms(programs, "no VM is booted, and the QEMU plugin is not tested");
}

/** The guest image, built once for all tests of this user and kept between runs. */
export function guestImage(): Promise<GuestImage> {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "vdc-os");
  return buildGuestImage({ outputDirectory: join(cache, "guest"), cacheDirectory: join(cache, "packages") });
}

/** A small VM of the guest image. `knobs` go on the kernel's command line. */
export function guestSpec(image: GuestImage, knobs = "", change: Partial<VmSpec> = {}): VmSpec {
  const { kernel, initrd, commandLine } = image;
  return {
    cpus: 1,
    memoryBytes: 128 << 20,
    boot: { kind: "kernel", kernel, initrd, commandLine: `${commandLine} ${knobs}`.trim() },
    disks: [],
    nics: [],
    ...change,
  };
}
