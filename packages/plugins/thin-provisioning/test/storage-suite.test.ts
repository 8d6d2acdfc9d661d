import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createImageSync } from "@vdc-os/qcow2";
import { type StorageInstance, storageSuite } from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { blockClientOf, createTestPool, mib } from "./test-pool.ts";

async function create(): Promise<StorageInstance> {
  const test = await createTestPool("here");
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
    dispose: async () => test[Symbol.asyncDispose](),
  };
}

describeSuite(storageSuite, { create });
