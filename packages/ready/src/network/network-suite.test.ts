import { describe } from "vitest";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { networkSuite } from "./network-suite.ts";
import { facetMutants } from "./test/facet-mutants.ts";
import { create } from "./test/mutant-switch.ts";
import { portMutants } from "./test/port-mutants.ts";
import { robustnessMutants } from "./test/robustness-mutants.ts";
import { settingMutants } from "./test/setting-mutants.ts";
import { specMutants } from "./test/spec-mutants.ts";

describe("the network suite", () => {
  describeProof(networkSuite, {
    create,
    mutants: [...specMutants, ...portMutants, ...settingMutants, ...facetMutants, ...robustnessMutants],
  });
  describe("the reference", () => describeSuite(networkSuite, { create }));
});
