import { type Bytes, bytes, objectName } from "@vdc-os/core";
import { z } from "zod";

/** The plugin's config. */
export interface QemuConfig {
  /** The host's name, which is also the provider's. */
  readonly name: string;
  /** The host's own folder. Records of VMs lie in `vms` under it, and sockets in `run`: its path must be short (a socket takes 107 bytes). */
  readonly directory: string;
  /** The QEMU program: a path, or a name that is looked for in PATH. Defaults to `qemu-system-x86_64`. */
  readonly qemu?: string;
  /**
   * How VMs are run. `auto` takes KVM where a probe guest really boots under it, and TCG otherwise; the probe runs once for a QEMU
   * version and boot of the host, when it is first needed. `kvm` and `tcg` decide without a probe. Defaults to `auto`.
   */
  readonly accelerator?: "auto" | "tcg" | "kvm";
  /** The kernel that the probe boots, with `probeInitrd`; it passes when anything is written on the console. Defaults to a boot sector of the plugin's own. */
  readonly probeKernel?: string;
  readonly probeInitrd?: string;
  /** The command line of `probeKernel`. Defaults to `console=ttyS0 panic=-1`. */
  readonly probeCommandLine?: string;
  /** How long the probe guest may take, in milliseconds. Defaults to 10000. */
  readonly probeTimeoutMs?: number;
  /** How many CPUs the host has for VMs, as it is told to the datacenter. Defaults to the machine's. */
  readonly cpus?: number;
  /** How much memory the host has for VMs; a start that would promise more fails. Defaults to the machine's, less `reservedMemoryBytes`. */
  readonly memoryBytes?: Bytes;
  /** Memory that is kept back from VMs. Defaults to 0. */
  readonly reservedMemoryBytes?: Bytes;
  /**
   * The remotes of this host's Open vSwitch database, for NICs that are ports of its bridges: `unix:/run/openvswitch/db.sock`; several with commas. Such NICs
   * need a runtime that can make taps: as root, or with CAP_NET_ADMIN. Defaults to none, and such NICs are refused.
   */
  readonly openVswitch?: string;
  /** How long QEMU may take until its CPUs run, in milliseconds. Defaults to 30000. */
  readonly startTimeoutMs?: number;
}

/** Schema of {@link QemuConfig}. */
export const qemuConfig: z.ZodType<QemuConfig> = z.object({
  name: objectName,
  directory: z.string().min(1),
  qemu: z.string().min(1).exactOptional(),
  accelerator: z.enum(["auto", "tcg", "kvm"]).exactOptional(),
  probeKernel: z.string().exactOptional(),
  probeInitrd: z.string().exactOptional(),
  probeCommandLine: z.string().exactOptional(),
  probeTimeoutMs: z.number().positive().exactOptional(),
  cpus: z.int().positive().exactOptional(),
  memoryBytes: bytes.exactOptional(),
  reservedMemoryBytes: bytes.exactOptional(),
  openVswitch: z
    .string()
    .min(1)
    .refine((remotes) => !remotes.includes("ssl:"), "the host's own database is reached by 'unix:' or 'tcp:'")
    .exactOptional(),
  startTimeoutMs: z.number().positive().exactOptional(),
});
