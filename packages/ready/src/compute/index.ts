// The suite
export type { ComputeInstance, ComputeVolume } from "./compute-instance.ts";
export { computeSuite } from "./compute-suite.ts";

// The reference that it is proved with, also as a model for tests
export { emptyMemoryHost, type MemoryHost, MemoryHypervisor } from "./memory-hypervisor.ts";
