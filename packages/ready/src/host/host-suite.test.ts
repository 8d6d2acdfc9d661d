import { describe } from "vitest";
import { createReference } from "../../test/host-mutants/build-mutant.ts";
import { processMutants } from "../../test/host-mutants/process-mutants.ts";
import { relayMutants } from "../../test/host-mutants/relay-mutants.ts";
import { describeProof, describeSuite } from "../suite/vitest.ts";
import { hostSuite } from "./host-suite.ts";

const create = () => createReference();
const mutants = [...processMutants, ...relayMutants];

describe("the host suite", () => {
  describeProof(hostSuite, { create, mutants, timeoutMs: 8_000 });
  describe("the reference", () => describeSuite(hostSuite, { create }));
});
