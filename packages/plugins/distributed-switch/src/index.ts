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
