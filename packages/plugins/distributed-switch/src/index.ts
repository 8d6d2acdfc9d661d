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
  FlowAccounting,
  UplinkConfig,
  VtepConfig,
} from "./dataplane/data-plane-config.ts";
export { dataPlaneConfigSchema, parseDataPlaneConfig } from "./dataplane/data-plane-config.ts";
export { type DataPlaneLimits, defaultLimits } from "./dataplane/data-plane-limits.ts";
export type { DataPlaneErrorCode } from "./dataplane/data-plane-error.ts";
export { DataPlaneError } from "./dataplane/data-plane-error.ts";
export type {
  DataPlanePortStatistics,
  DataPlanePortStatus,
  DataPlaneStatus,
  DataPlaneSwitchStatus,
  UplinkStatistics,
  UplinkStatus,
} from "./dataplane/data-plane-status.ts";

// Ports and uplinks on interfaces of the host, with root.
export type { FrameLink, FrameLinkHandlers, InterfaceLinks } from "./dataplane/frame-link.ts";
export { hostInterfaceLinks } from "./wire/tap/host-interface-links.ts";

// What a port is told, and what it counts.
export type {
  Gate,
  MacLearningSetting,
  PortSettings,
  SecuritySetting,
  SwitchPortStatistics,
} from "./dataplane/switch-port.ts";
export type { FilterAction, FilterMatch, FilterRule } from "./dataplane/filter-rule.ts";
export type { ShapingSetting } from "./dataplane/port-shaper.ts";
export type { TunnelPeer, TunnelPeerStatistics } from "./dataplane/switch-tunnel.ts";
export type { InDropReason, OutDropReason, TrafficStatistics } from "./dataplane/traffic-counters.ts";
export type { VlanRange, VlanSetting } from "./dataplane/vlan-membership.ts";
export type { DatagramDropReason, UdpAddress, VxlanEndpointStatistics } from "./dataplane/vxlan-endpoint.ts";

// Looking into ports, and moving what they know.
export type { CapturedFrame, CaptureOptions } from "./dataplane/capture-tap.ts";
export type { Explanation } from "./dataplane/explanation.ts";
export type { PortState } from "./dataplane/port-state.ts";
export type { Capture, EffectivePort, PortTools } from "./dataplane/port-tools.ts";

// What leaves beside frames: copies, flows, and the switch's own frames.
export type { FlowRecord } from "./dataplane/flow-table.ts";
export type {
  MirrorCopy,
  MirrorDestination,
  MirrorSession,
  MirrorSink,
  MirrorStatistics,
} from "./dataplane/mirror-session.ts";
export type { ControlFrame, ControlFrames } from "./dataplane/peer-ingress.ts";
