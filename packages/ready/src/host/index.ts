// The suite
export type { HostInstance } from "./host-instance.ts";
export { hostSuite } from "./host-suite.ts";

// What the suite has a host run
export {
  type PlaneConfig,
  type PlaneProcess,
  type StartedPlane,
  startCommand,
  startPlane,
  suitePlane,
} from "./suite-plane.ts";

// The reference that it is proved with, also as a model for tests
export { type MemoryChange, MemoryHost } from "./memory-host.ts";
export { MemoryHostRuntime } from "./memory-host-runtime.ts";
export { MemoryProcess } from "./memory-process.ts";
