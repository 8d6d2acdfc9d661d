import { type BackupRepository, backupRepository } from "@vdc-os/core/backup/v1";
import { defineSuite, type Suite } from "../suite/suite.ts";
import type { BackupInstance } from "./backup-instance.ts";
import { callerRequirements } from "./caller-requirements.ts";
import { interruptionRequirements } from "./interruption-requirements.ts";
import { listRequirements } from "./list-requirements.ts";
import { momentRequirements } from "./moment-requirements.ts";
import { pointRequirements } from "./point-requirements.ts";
import { readingRequirements } from "./reading-requirements.ts";
import { restoreRequirements } from "./restore-requirements.ts";
import { retentionRequirements } from "./retention-requirements.ts";
import { verifyRequirements } from "./verify-requirements.ts";

/** The certification suite of `vdc.backup` 1.0. */
export const backupSuite: Suite<BackupRepository, BackupInstance> = defineSuite<BackupRepository, BackupInstance>({
  name: "backup",
  point: backupRepository,
  requirements: [
    ...pointRequirements,
    ...readingRequirements,
    ...momentRequirements,
    ...listRequirements,
    ...restoreRequirements,
    ...verifyRequirements,
    ...retentionRequirements,
    ...interruptionRequirements,
    ...callerRequirements,
  ],
});
