// The plugin
export type { QemuConfig } from "./config.ts";
export { default } from "./plugin.ts";

// For tests and for other programs
export { QemuHypervisor, type QemuHypervisorOptions } from "./qemu-hypervisor.ts";
export { type SweepVmsOptions, type SweptVms, sweepVms } from "./sweep-vms.ts";
