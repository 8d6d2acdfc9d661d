// The backup contract, version 1.

// Repositories
export type {
  BackupRepository,
  Damage,
  PruneReport,
  RepositoryStatus,
  RetentionPolicy,
  VerifyReport,
} from "./backup-repository.ts";
export { backupRepository, retentionPolicy } from "./backup-repository.ts";
// Recovery points
export type {
  BackupDisk,
  BackupRun,
  CreateRecoveryPoint,
  DiskReading,
  RecoveryPoint,
  RecoveryPointDisk,
  Restore,
  RestoredDisk,
  RestoreTarget,
} from "./recovery-point.ts";
export { recoveryPoint } from "./recovery-point.ts";
