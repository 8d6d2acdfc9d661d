// The host-runtime contract, version 1.

export type {
  EnsureProcess,
  HostInventory,
  HostRuntime,
  ProcessState,
  ProcessStatus,
} from "./host-runtime.ts";
export { hostRuntime } from "./host-runtime.ts";
