// The suite
export type { CloudConnectorInstance, KillableCloudConnector } from "./cloud-connector-instance.ts";
export { cloudSuite } from "./cloud-suite.ts";

// The reference that it is proved with, also as a model for tests
export { MemoryCloud, type MemoryCloudAccount } from "./memory-cloud.ts";
