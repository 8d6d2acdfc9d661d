import { cloudSuite } from "@vdc-os/ready/cloud";
import { secretSuite } from "@vdc-os/ready/secret";
import { storageSuite } from "@vdc-os/ready/storage";
import { describePlugin } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { create as createCloud } from "../templates/cloud/src/certification.ts";
import cloud from "../templates/cloud/src/index.ts";
import { create as createSecrets } from "../templates/secret/src/certification.ts";
import secrets from "../templates/secret/src/index.ts";
import { create as createStorage } from "../templates/storage/src/certification.ts";
import storage from "../templates/storage/src/index.ts";

// As the tests that are written with the templates do it.
describe("the template for secrets", () => describePlugin(secretSuite, { plugin: secrets, create: createSecrets }));
describe("the template for storage", () => describePlugin(storageSuite, { plugin: storage, create: createStorage }));
describe("the template for clouds", () => describePlugin(cloudSuite, { plugin: cloud, create: createCloud }));
