// The suite
export type { BackupInstance, BackupStorage } from "./backup-instance.ts";
export { backupSuite } from "./backup-suite.ts";
