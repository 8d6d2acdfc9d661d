import { describe } from "vitest";
import { createReference } from "../../test/backup-mutants/build-mutant.ts";
import { callerMutants } from "../../test/backup-mutants/caller-mutants.ts";
import { interruptionMutants } from "../../test/backup-mutants/interruption-mutants.ts";
import { pointMutants } from "../../test/backup-mutants/point-mutants.ts";
import { restoreMutants } from "../../test/backup-mutants/restore-mutants.ts";
import { retentionMutants } from "../../test/backup-mutants/retention-mutants.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { backupSuite } from "./backup-suite.ts";

const create = () => createReference();
const mutants = [...pointMutants, ...restoreMutants, ...retentionMutants, ...interruptionMutants, ...callerMutants];

describe("the backup suite", () => {
  describeProof(backupSuite, { create, mutants, timeoutMs: 20_000 });

  describe("the reference", () => describeSuite(backupSuite, { create }));
});
