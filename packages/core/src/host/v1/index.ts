// The host-runtime contract, version 1.

export type {
  EnsureProcess,
  HostInventory,
  HostRuntime,
  ProcessState,
  ProcessStatus,
} from "./host-runtime.ts";
export { hostPluginProcessVariable, hostRuntime } from "./host-runtime.ts";
