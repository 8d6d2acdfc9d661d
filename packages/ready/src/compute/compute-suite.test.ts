import { describe } from "vitest";
import { createReference } from "../../test/compute-mutants/build-mutant.ts";
import { diskMutants } from "../../test/compute-mutants/disk-mutants.ts";
import { machineMutants } from "../../test/compute-mutants/machine-mutants.ts";
import { crashMutants } from "../../test/compute-mutants/crash-mutants.ts";
import { resizeMutants } from "../../test/compute-mutants/resize-mutants.ts";
import { robustnessMutants } from "../../test/compute-mutants/robustness-mutants.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { computeSuite } from "./compute-suite.ts";

const create = () => createReference();
const mutants = [...machineMutants, ...diskMutants, ...resizeMutants, ...robustnessMutants, ...crashMutants];

describe("the compute suite", () => {
  describeProof(computeSuite, { create, mutants });
  describe("the reference", () => describeSuite(computeSuite, { create }));
});
