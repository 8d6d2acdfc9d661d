// The kernel
export { Kernel } from "./kernel/kernel.ts";
export type { KernelApi, PluginStatus, Provided } from "./kernel/kernel-api.ts";
export type { KernelOptions, ReconfigureOptions, ReplaceOptions } from "./kernel/kernel-options.ts";
export type { KernelPolicy } from "./kernel/plugin-policy.ts";
export type { Validation } from "./kernel/provider.ts";

// What it runs
export {
  defaultDeadlines,
  type FailurePolicy,
  type PhaseDeadlines,
  type PluginRegistration,
  type UseOptions,
  use,
} from "./kernel/plugin-registration.ts";

// Planning
export {
  type Plan,
  type PlanInput,
  type PlannedPlugin,
  type PlannedProvision,
  type PlanProblem,
  type PlanProblemKind,
  planPlugins,
  type RejectedPlugin,
} from "./kernel/plan.ts";

// Reports
export type { ReleaseError, ReleaseReport } from "./kernel/release.ts";
export { formatStartReport, type PluginReport, StartError, StartReport } from "./kernel/start-report.ts";
export { type PluginStopReport, StopReport } from "./kernel/stop-report.ts";

// Events, hooks and tasks
export { EventBus, type EventBusOptions, type ListenOptions, type Unsubscribe } from "./event/event-bus.ts";
export { type AddHookOptions, HookRegistry } from "./event/hook-registry.ts";
export { TaskRegistry, type TaskRegistryOptions, taskChanged } from "./task/task-registry.ts";
