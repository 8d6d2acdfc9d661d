import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import { defineSuite, type Suite } from "../suite/suite.ts";
import { attachmentRequirements } from "./attachment-requirements.ts";
import { changedBlockRequirements } from "./changed-block-requirements.ts";
import { cloneRequirements } from "./clone-requirements.ts";
import { crashCopyRequirements } from "./crash-copy-requirements.ts";
import { crashRequirements } from "./crash-requirements.ts";
import { dataServiceRequirements } from "./data-service-requirements.ts";
import { encryptionRequirements } from "./encryption-requirements.ts";
import { groupSnapshotRequirements } from "./group-snapshot-requirements.ts";
import { interruptionRequirements } from "./interruption-requirements.ts";
import { layeringRequirements } from "./layering-requirements.ts";
import { momentRequirements } from "./moment-requirements.ts";
import { poolRequirements } from "./pool-requirements.ts";
import { qualityRequirements } from "./quality-requirements.ts";
import { revertRequirements } from "./revert-requirements.ts";
import { robustnessRequirements } from "./robustness-requirements.ts";
import { snapshotRequirements } from "./snapshot-requirements.ts";
import type { StorageInstance } from "./storage-instance.ts";
import { topologyRequirements } from "./topology-requirements.ts";
import { volumeRequirements } from "./volume-requirements.ts";

/** The certification suite of `vdc.storage` 1.0. */
export const storageSuite: Suite<StorageProvider, StorageInstance> = defineSuite<StorageProvider, StorageInstance>({
  name: "storage",
  point: storageProvider,
  requirements: [
    ...volumeRequirements,
    ...poolRequirements,
    ...attachmentRequirements,
    ...topologyRequirements,
    ...dataServiceRequirements,
    ...layeringRequirements,
    ...cloneRequirements,
    ...momentRequirements,
    ...snapshotRequirements,
    ...revertRequirements,
    ...groupSnapshotRequirements,
    ...changedBlockRequirements,
    ...qualityRequirements,
    ...encryptionRequirements,
    ...robustnessRequirements,
    ...interruptionRequirements,
    ...crashRequirements,
    ...crashCopyRequirements,
  ],
});
