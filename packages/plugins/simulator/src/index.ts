// The plugin
export { type SimulatorConfig, simulatorConfig } from "./config.ts";
export { default, type SimulatedPoint, simulatedPoints, simulator, type SimulatorOptions } from "./plugin.ts";

// The world
export { SimulatedWorld, type SimulatedWorldOptions } from "./world/simulated-world.ts";
export { type CallFilter, CallLog, type CallSite, type LoggedCall } from "./world/call-log.ts";
export { type Fault, FaultInjector } from "./world/fault-injector.ts";
export { type Latency, LatencyModel } from "./world/latency-model.ts";

// Hosts
export type { SimulatedHostSpec } from "./compute/simulated-hypervisor.ts";
export type { SimulatedProcess, SimulatedProgram, SimulatedRun } from "./host/simulated-program.ts";
export { SimulatedHostMachine } from "./host/simulated-host-machine.ts";
export {
  simulatedHost,
  type SimulatedHostConnection,
  type SimulatedHostLink,
  type SimulatedHostOpenOptions,
  type SimulatedHostOptions,
} from "./host/simulated-host.ts";

// Data paths, for tests
export type { SimulatedNic } from "./network/simulated-nic.ts";
export type { SimulatedBlockDevice } from "./storage/simulated-block-device.ts";

// What worlds are made of
export { CloudAccount, type CloudOptions } from "./cloud/cloud-account.ts";
export type { PoolOptions } from "./storage/volume-pool.ts";
