// A runtime in a process of its own
export { connectHostRuntime, type HostRuntimeConnection } from "./connect-host-runtime.ts";
export type { HostPluginModule } from "./runtime-options.ts";
export { type SpawnHostRuntimeOptions, spawnHostRuntime } from "./spawn-host-runtime.ts";
// A runtime in this process
export {
  type HostIdentity,
  type HostPlugin,
  type StartedHostRuntime,
  type StartHostRuntimeOptions,
  startHostRuntime,
} from "./start-host-runtime.ts";
// After a kill
export { type SweepReport, sweepHostDirectory } from "./sweep-host-directory.ts";
// A host on this machine, for a datacenter
export {
  type LocalHost,
  type LocalHostConnection,
  localHost,
  type LocalHostOptions,
  type LocalHostPlace,
} from "./local-host.ts";
