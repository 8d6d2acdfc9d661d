import { describe } from "vitest";
import { createReference } from "../../test/storage-mutants/build-mutant.ts";
import { copyMutants } from "../../test/storage-mutants/copy-mutants.ts";
import { crashMutants } from "../../test/storage-mutants/crash-mutants.ts";
import { interruptionMutants } from "../../test/storage-mutants/interruption-mutants.ts";
import { robustnessMutants } from "../../test/storage-mutants/robustness-mutants.ts";
import { serviceMutants } from "../../test/storage-mutants/service-mutants.ts";
import { snapshotMutants } from "../../test/storage-mutants/snapshot-mutants.ts";
import { topologyMutants } from "../../test/storage-mutants/topology-mutants.ts";
import { volumeMutants } from "../../test/storage-mutants/volume-mutants.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { storageSuite } from "./storage-suite.ts";

const create = () => {
  const instance = createReference();
  instance.implementation.pool.accessibleHosts = instance.hosts;
  return instance;
};
const mutants = [
  ...volumeMutants,
  ...copyMutants,
  ...snapshotMutants,
  ...serviceMutants,
  ...robustnessMutants,
  ...interruptionMutants,
  ...crashMutants,
  ...topologyMutants,
];

describe("the storage suite", () => {
  describeProof(storageSuite, { create, mutants });

  describe("the reference", () => describeSuite(storageSuite, { create }));
});
