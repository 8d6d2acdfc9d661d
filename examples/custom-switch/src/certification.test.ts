import { networkSuite } from "@vdc-os/ready/network";
import { describeSuite } from "@vdc-os/ready/vitest";
import { createInstance } from "./hub-instance.ts";

describeSuite(networkSuite, { create: createInstance });
