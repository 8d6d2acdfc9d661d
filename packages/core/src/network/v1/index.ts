// The distributed-switch contract, version 1: the vNetwork API.

export type { DistributedSwitch, NetworkFacets } from "./distributed-switch.ts";
export { distributedSwitch } from "./distributed-switch.ts";
// Facets
export type {
  CapturedFrame,
  CaptureFacet,
  ConfigArchiveFacet,
  EffectiveSettingFacet,
  ExplainFacet,
  GateFacet,
  HealthCheckFacet,
  HealthFinding,
  MigrationTicket,
  PortMigrationFacet,
  PortReference,
} from "./facets.ts";
export type {
  ConnectPort,
  MemberState,
  MemberStatus,
  PortAttachment,
  PortBinding,
  PortGate,
  PortState,
  PortStatistics,
  PortStatus,
  SwitchStatus,
} from "./port.ts";

// Ports and status
export { portAttachment } from "./port.ts";
export type {
  FilterRule,
  HostMemberSpec,
  MirrorSession,
  PortGroupSpec,
  PortSetting,
  SecuritySetting,
  ShapingSetting,
  SpecProblem,
  SwitchSpec,
  TeamingSetting,
  VlanRange,
  VlanSetting,
} from "./switch-spec.ts";
// Desired state
export {
  macAddress,
  portSetting,
  securitySetting,
  shapingSetting,
  switchSpec,
  teamingSetting,
  vlanId,
  vlanSetting,
} from "./switch-spec.ts";
