// The plugin
export { default } from "./plugin.ts";
export type { OpenVswitchConfig, OpenVswitchHostConfig } from "./openvswitch-config.ts";

// The switch alone, without a kernel
export { OpenVswitchSwitch, type OpenVswitchSwitchOptions } from "./control/openvswitch-switch.ts";
export type { DesiredStateStore } from "./control/desired-state.ts";
