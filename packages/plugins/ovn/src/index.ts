// The plugin
export { default } from "./plugin.ts";
export type { OvnConfig, OvnHostConfig } from "./ovn-config.ts";

// The switch alone, without a kernel
export { OvnSwitch, type OvnSwitchOptions } from "./control/ovn-switch.ts";
