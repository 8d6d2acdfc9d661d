// The suite
export type { BlockClient, KillableStorageProvider, StorageInstance } from "./storage-instance.ts";
export { storageSuite } from "./storage-suite.ts";

// The reference that it is proved with, also as a model for tests
export { createMemoryPool, type MemoryPool } from "./memory-pool.ts";
export { openMemoryTransport } from "./memory-transport.ts";
export { MemoryStorageProvider } from "./memory-storage-provider.ts";
