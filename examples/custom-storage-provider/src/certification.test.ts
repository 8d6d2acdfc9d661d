import { storageSuite } from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { createInstance } from "./folder-instance.ts";

describeSuite(storageSuite, { create: createInstance });
