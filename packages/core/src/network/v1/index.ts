// The distributed-switch contract, version 1: the vNetwork API.

export type { DistributedSwitch, NetworkFacets } from "./distributed-switch.ts";
export { distributedSwitch } from "./distributed-switch.ts";
// Facets
export type { CapturedFrame, CaptureFacet } from "./facets/capture.ts";
export type { ConfigArchive, ConfigArchiveFacet, TrialApply } from "./facets/config-archive.ts";
export type { DiscoveryFacet, Neighbour } from "./facets/discovery.ts";
export type { EffectiveSettingFacet } from "./facets/effective-setting.ts";
export type { ExplainFacet, FrameExplanation } from "./facets/explain.ts";
export type { GateFacet } from "./facets/gate.ts";
export type { HealthCheckFacet, HealthCheckKind, HealthFinding } from "./facets/health-check.ts";
export type { LoadBalancerStatus, LoadBalancingFacet } from "./facets/load-balancing.ts";
export type { MigrationTicket, PortMigrationFacet } from "./facets/migration.ts";
export type { PortReference } from "./facets/port-reference.ts";
export type { TeamingFacet, UplinkState } from "./facets/teaming.ts";
// Ports and status
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
export { portAttachment } from "./port.ts";
// What holds for a port
export type {
  DhcpSetting,
  FilterAction,
  FilterMatch,
  FilterRule,
  MacLearningSetting,
  PortSetting,
  SecuritySetting,
  ShapingSetting,
  TeamingSetting,
  VlanRange,
  VlanSetting,
} from "./port-setting.ts";
export {
  dhcpSetting,
  filterRule,
  macAddress,
  macLearningSetting,
  portSetting,
  securitySetting,
  shapingSetting,
  teamingSetting,
  vlanId,
  vlanSetting,
} from "./port-setting.ts";
// For providers: generations, trials, and saying no
export { ConfigArchiveControl, refusedSpec, type SpecRecords } from "./config-archive-control.ts";
export { beginTrial, endTrial, type SpecRecord, type SpecTrial, takeOverSpec } from "./spec-record.ts";
export { addressProblems, type SwitchAbilities, settingProblems, specProblems } from "./spec-problems.ts";
// For providers: ports kept as records, their owners, their moves, and watching a switch
export { ChangeSignal } from "./keeping/change-signal.ts";
export { addCounters, combineCounters, type Counters, countersSince } from "./keeping/counters.ts";
export {
  admitPort,
  connectedPort,
  cutPort,
  fencedError,
  movingError,
  mustBeGoodPort,
  mustBeMovable,
  mustBeMoving,
  mustHaveNoOwners,
  type PortsOfSwitch,
  portNotFound,
  switchNotFound,
} from "./keeping/port-decisions.ts";
export {
  countedPorts,
  keptPort,
  keptSwitch,
  type OwnOfPort,
  type PortKeeper,
  settingOf,
} from "./keeping/port-keeper.ts";
export { portMigrationFacet } from "./keeping/port-migration.ts";
export { type OwnedPort, PortOwners } from "./keeping/port-owners.ts";
export type { KeptSwitch, MovablePortRecord, MoveRecord, PortRecord } from "./keeping/port-record.ts";
export { watchStatus, type WatchStatusOptions } from "./keeping/watch-status.ts";
// Desired state
export type {
  FlowExport,
  HostMemberSpec,
  LoadBalancer,
  MirrorSession,
  PortGroupSpec,
  SpecProblem,
  SwitchSpec,
  UplinkSpec,
} from "./switch-spec.ts";
export { switchSpec } from "./switch-spec.ts";
