import { describe, test } from "vitest";
import { controllerRequirements } from "./controller-requirements.ts";
import { drivers } from "./driver-under-test.ts";
import { nodeRequirements } from "./node-requirements.ts";
import { snapshotRequirements } from "./snapshot-requirements.ts";

/** The CSI specification's clauses, over our driver with two providers underneath. */
for (const [name, open] of Object.entries(drivers)) {
  describe(`our driver over ${name}`, () => {
    for (const requirement of [...controllerRequirements, ...snapshotRequirements, ...nodeRequirements]) {
      test(requirement.clause, async (context) => {
        await using driver = await open();
        const { needs } = requirement;
        if (needs !== undefined && !(await driver.can(needs))) {
          context.skip(`the driver does not say that it has capability ${needs}`);
        }
        await requirement.run(driver);
      });
    }
  });
}
