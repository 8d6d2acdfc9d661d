// The suite
export type { KillableStateStore, StateInstance } from "./state-instance.ts";
export { stateSuite } from "./state-suite.ts";

// The reference that it is proved with, also as a model for tests
export { type LoggedChange, type MemoryDisk, MemoryStateStore } from "./memory-state-store.ts";
