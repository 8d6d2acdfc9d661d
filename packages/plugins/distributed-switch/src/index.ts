// The plugin
export { type DistributedSwitchConfig, distributedSwitchConfig } from "./control/plugin-config.ts";
export { default } from "./plugin.ts";

// The control side, for use without a kernel
export type { DesiredStateStore } from "./control/desired-state.ts";
export type { HostDirectory, SwitchHostRuntime } from "./control/host-member.ts";
export { openSwitchControl, type OpenSwitchControlOptions } from "./control/open-switch-control.ts";
export type { SwitchControl } from "./control/switch-control.ts";

// The data plane: one per host, driven by plain data.

export type { DataPlaneOptions, GateStatus } from "./dataplane/control.ts";
export { DataPlane } from "./dataplane/control.ts";
export type {
  DataPlaneConfig,
  DataPlanePortConfig,
  DataPlaneSwitchConfig,
  VtepConfig,
} from "./dataplane/data-plane-config.ts";
export { dataPlaneConfigSchema, parseDataPlaneConfig } from "./dataplane/data-plane-config.ts";
export type { DataPlaneErrorCode } from "./dataplane/data-plane-error.ts";
export { DataPlaneError } from "./dataplane/data-plane-error.ts";
export type {
  DataPlanePortStatistics,
  DataPlanePortStatus,
  DataPlaneStatus,
  DataPlaneSwitchStatus,
} from "./dataplane/data-plane-status.ts";

// What a port is told, and what it counts.
export type {
  Gate,
  MacLearningSetting,
  PortSettings,
  SecuritySetting,
  SwitchPortStatistics,
} from "./dataplane/switch-port.ts";
export type { TunnelPeer, TunnelPeerStatistics } from "./dataplane/switch-tunnel.ts";
export type { InDropReason, OutDropReason, TrafficStatistics } from "./dataplane/traffic-counters.ts";
export type { VlanRange, VlanSetting } from "./dataplane/vlan-membership.ts";
export type { DatagramDropReason, UdpAddress, VxlanEndpointStatistics } from "./dataplane/vxlan-endpoint.ts";
