// The datacenter
export {
  createDatacenter,
  type CreateDatacenterOptions,
  type DatacenterPlace,
} from "./datacenter/create-datacenter.ts";
export type { Datacenter, DatacenterMode, VirtualMachineClient } from "./datacenter/datacenter.ts";
export type { HostConnection, HostLink, HostOpenOptions } from "./datacenter/host-link.ts";
export type { KindClient, ObjectName } from "./datacenter/kind-client.ts";
export type { SwitchArchive, SwitchClient, SwitchPort, SwitchView } from "./datacenter/switch-client.ts";
export type { VolumeClient } from "./datacenter/volume-client.ts";

// Its kinds
export {
  type CloudInstanceInput,
  cloudInstanceKind,
  type CloudInstanceSpec,
  type CloudInstanceStatus,
} from "./kinds/cloud-instance-spec.ts";
export { hostKind, type HostSpec, type HostStatus } from "./kinds/host-spec.ts";
export { imageKind, type ImageSpec, type ImageStatus } from "./kinds/image-spec.ts";
export { type PortPolicy, type PortPolicyName, portPolicyNames } from "./kinds/port-policy.ts";
export type { SwitchMirror } from "./kinds/switch-parts.ts";
export { portNameText, type SwitchPortName } from "./kinds/switch-port-name.ts";
export {
  mirrorsCondition,
  type PortGroup,
  type PortProblem,
  portsCondition,
  type SwitchInput,
  switchKind,
  type SwitchKindSpec,
  type SwitchKindStatus,
  type SwitchMirrorInput,
  type SwitchTrial,
} from "./kinds/switch-spec.ts";
export {
  type VirtualMachineInput,
  virtualMachineKind,
  type VirtualMachineSpec,
  type VirtualMachineStatus,
  type VmDiskSpec,
  type VmNicSpec,
} from "./kinds/virtual-machine-spec.ts";
export {
  type AttributeConstraint,
  type AttributeValue,
  type StoragePolicyInput,
  storagePolicyKind,
  type StoragePolicySpec,
  type StoragePolicyStatus,
} from "./kinds/storage-policy-spec.ts";
export {
  capacityCondition,
  healthyCondition,
  type StoragePoolInput,
  storagePoolKind,
  type StoragePoolSpec,
  type StoragePoolStatus,
} from "./kinds/storage-pool-spec.ts";
export {
  volumeSnapshotKind,
  type VolumeSnapshotSpec,
  type VolumeSnapshotStatus,
} from "./kinds/volume-snapshot-spec.ts";
export {
  compliantCondition,
  storageNameOf,
  type VolumeContent,
  type VolumeInput,
  volumeKind,
  type VolumeSpec,
  type VolumeStatus,
} from "./kinds/volume-spec.ts";

// Its decisions
export { defaultPortSetting, effectivePortSetting } from "./decisions/effective-port-setting.ts";
export { type PortRates, portRates } from "./decisions/port-rates.ts";
export { type PlacementDecision, type PlacementHost, type PlacementRequest, placeVm } from "./decisions/place-vm.ts";
export {
  type PlacementPool,
  placeVolume,
  type VolumePlacement,
  type VolumePlacementRequest,
} from "./decisions/place-volume.ts";
export { policyProblems, type PolicySubject } from "./decisions/policy-problems.ts";

// Objects and their kinds
export {
  type Condition,
  type ConditionChange,
  type ConditionStatus,
  failedCondition,
  findCondition,
  isConditionTrue,
  readyCondition,
} from "./resource/condition.ts";
export {
  type AnyKind,
  type Conversion,
  type ConvertibleContent,
  defineKind,
  type Kind,
  type KindOptions,
  type Problem,
  type ResourceOf,
} from "./resource/kind.ts";
export type { FieldConflict, FieldOwners } from "./resource/field-owner.ts";
export type { FieldPath } from "./resource/field-path.ts";
export {
  hasLabels,
  isBeingDeleted,
  type Metadata,
  type ObjectKey,
  ownedBy,
  type OwnerReference,
  type PendingTask,
  referenceTo,
  type Resource,
  type ResourceReference,
  type TaskAction,
} from "./resource/resource.ts";
// Admission
export type {
  AdmissionProblem,
  AdmissionStep,
  Policy,
  PolicyDecision,
} from "./admission/admission.ts";
export type { Quotas, Usage } from "./admission/quota.ts";
// The store
export { ObjectCache, type ObjectCacheOptions, type ObjectChange, type ObjectListener } from "./store/object-cache.ts";
export type { StatusChange } from "./store/resource-change.ts";
export type { StoreEnvironment } from "./store/object-access.ts";
export { ResourceStore } from "./store/resource-store.ts";
export type {
  Accepted,
  ApplyOptions,
  CreateOptions,
  DeleteOptions,
  ListOptions,
  MetadataChange,
  NewObject,
  PartialSpec,
  ReadOptions,
  ResourceEvent,
  ResourcePage,
  UpdateOptions,
  UpdateStatusOptions,
} from "./store/resource-store-options.ts";
export type { StateAccess } from "./store/state-access.ts";
// Tasks
export { defaultTaskRetention, type TaskRetention } from "./task/expired-tasks.ts";
export type { TaskHandle, WaitOptions } from "./task/task-handle.ts";
export { type BeginTaskOptions, type TaskFilter, TaskManager, type TaskManagerOptions } from "./task/task-manager.ts";
export { isFinished, type TaskOutcome, type TaskRecord, type TaskState } from "./task/task-record.ts";
// Controllers
export {
  type ControlPlane,
  type ControlPlaneOptions,
  type ControlPlaneStatus,
  createControlPlane,
  type StopOptions,
} from "./controller/control-plane.ts";
export {
  type Controller,
  type ControllerOptions,
  type ControllerWatch,
  defineController,
  type ReconcileContext,
  type ReconcileResult,
  watchKind,
  watchOwned,
} from "./controller/define-controller.ts";
export type { KeyFailure, WorkerStatus } from "./controller/keyed-worker.ts";
export { type EventSink, type ResourceChange, resourceChanged, taskChanged } from "./controller/resource-events.ts";
export type { WorkQueueDepth } from "./controller/work-queue.ts";
// The intent journal
export { externalNameOf } from "./journal/external-name.ts";
export {
  findOrphans,
  type FindOrphansInput,
  type ObservedExternal,
  type SweepFinding,
  type SweepPlan,
} from "./journal/find-orphans.ts";
export { type BeginIntentOptions, type Intent, IntentJournal } from "./journal/intent-journal.ts";
export { sweep, type SweepOptions, type SweepReport, type SweepTarget } from "./journal/sweep.ts";
