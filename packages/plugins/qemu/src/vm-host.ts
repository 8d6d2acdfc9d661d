import type { Logger } from "@vdc-os/core";
import type { HostBridges } from "./host-bridges.ts";
import type { QemuVm } from "./qemu-vm.ts";
import type { QemuHost } from "./start-qemu.ts";

/** What the VMs of a host share. */
export interface VmHost extends QemuHost {
  readonly bootId: string;
  readonly logger: Logger;
  /** The host's Open vSwitch, where it is known. */
  readonly bridges: HostBridges | undefined;
  newSpawn(): string;
  now(): number;
  accelerator(): Promise<"kvm" | "tcg">;
  /** Throws `RESOURCE_EXHAUSTED` when the host can't promise the VM its memory. */
  admit(vm: QemuVm): void;
  onChange(vm: QemuVm, type: "modified" | "deleted"): void;
}
