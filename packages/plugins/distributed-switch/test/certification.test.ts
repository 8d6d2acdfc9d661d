import { networkSuite } from "@vdc-os/ready/network";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { SwitchCluster } from "./switch-cluster.ts";

describe("the distributed switch is VDC Ready", () => {
  describeSuite(networkSuite, {
    // For what hangs.
    timeoutMs: 120_000,
    create: async () => {
      const cluster = await SwitchCluster.create(["a", "b"]);
      return {
        implementation: cluster.control,
        hosts: ["a", "b"],
        restart: async () => {
          await cluster.restartManager();
          return cluster.control;
        },
        dispose: () => cluster[Symbol.asyncDispose](),
      };
    },
  });
});
