// The suite
export type { NetworkInstance } from "./network-instance.ts";
export { networkSuite } from "./network-suite.ts";

// Playing a NIC
export { openStreamNic, type SuiteNic } from "./suite-nic.ts";

// The reference that it is proved with, also as a model for tests
export { MemorySwitch, type MemorySwitchDisk } from "./memory-switch.ts";
