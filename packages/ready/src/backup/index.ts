// The suite
export type { BackupInstance, BackupStorage } from "./backup-instance.ts";
export { backupSuite } from "./backup-suite.ts";

// The reference that it is proved with, also as a model for tests
export { MemoryBackupRepository } from "./memory-backup-repository.ts";
export { createMemoryVault, type MemoryVault } from "./memory-vault.ts";
