import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createImageSync } from "@vdc-os/qcow2";
import { type StorageInstance, storageSuite } from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import type { OpenThinPoolOptions } from "../src/thin-pool.ts";
import type { HostKind, TestHost } from "./test-host.ts";
import { blockClientOf, createTestPool, mib, type TestPool } from "./test-pool.ts";
import { createTestSecrets } from "./test-secrets.ts";

async function create(kind: HostKind, config: Partial<OpenThinPoolOptions> = {}): Promise<StorageInstance> {
  const test = await createTestPool(kind, config);
  const hostile = (name: string): string => join(test.folder, name);
  createImageSync({ path: hostile("lower.qcow2"), virtualSizeBytes: mib, durable: false });
  createImageSync({
    path: hostile("backed.qcow2"),
    virtualSizeBytes: mib,
    backing: { path: "lower.qcow2", format: "qcow2" },
    durable: false,
  });
  writeFileSync(hostile("text.qcow2"), "json:{}");
  return {
    implementation: test.provider,
    hosts: ["host-a", "host-b"],
    openTransport: blockClientOf,
    reopen: () => test.reopen(),
    imagePath: (name) => join(test.folder, name),
    hostileImages: ["backed.qcow2", "text.qcow2"].map((name) => ({ path: hostile(name), format: "qcow2" })),
    small: () => create(kind, { ...config, capacityBytes: 16 * mib, maxOverSubscription: 10 }),
    ...(config.keyRef === undefined ? {} : { keyRefs: ["key-1", "key-2"] }),
    ...(kind === "process" ? { killStorageProcess: ({ host }) => hostOf(test, host).kill() } : {}),
    dispose: async () => test[Symbol.asyncDispose](),
  };
}

function hostOf({ hosts }: TestPool, name: string): TestHost {
  const host = hosts.find((candidate) => candidate.name === name);
  if (host === undefined) throw new Error(`there is no host '${name}'`);
  return host;
}

// In storage processes of their own a test takes a second more, so that only the deep run does it with all of them.
describe("with the storage process in the test's own", () => {
  describeSuite(storageSuite, { create: () => create(process.env.VDC_DEEP ? "process" : "here") });
});
describe("with all volumes encrypted", () => {
  const encrypted = () => ({ secrets: createTestSecrets(), keyRef: "key-1" });
  const isDeep = process.env.VDC_DEEP !== undefined;
  // What the pipe adds is tried above; to open an encrypted image takes a while.
  const direct = isDeep ? {} : { transports: ["direct"] as const };
  describeSuite(storageSuite, { create: () => create(isDeep ? "process" : "here", encrypted()), ...direct });
  // A process that is killed loses its keys, and is brought them again.
  describeSuite(storageSuite, { create: () => create("process", encrypted()), only: "storage.encryption" });
  const only = "storage.changed-blocks.killed";
  describeSuite(storageSuite, { create: () => create("process", encrypted()), only, ...direct });
});
describe("with storage processes of their own", () => {
  for (const only of [
    "storage.changed-blocks",
    "storage.group-snapshots",
    "storage.snapshots",
    "storage.capacity.full",
  ]) {
    describeSuite(storageSuite, { create: () => create("process"), only });
  }
});
