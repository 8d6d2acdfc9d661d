// The suite
export type { ComputeInstance } from "./compute-instance.ts";
export { computeSuite } from "./compute-suite.ts";

// The reference that it is proved with, also as a model for tests
export { type MemoryHost, MemoryHypervisor } from "./memory-hypervisor.ts";
