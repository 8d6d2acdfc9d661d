import { cloudSuite } from "@vdc-os/ready/cloud";
import { describeSuite } from "@vdc-os/ready/vitest";
import { createInstance } from "./puddle-instance.ts";

describeSuite(cloudSuite, { create: createInstance });
