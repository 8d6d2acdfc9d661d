import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import { blockClientOf, createTestPool, mib } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import {
  createMemoryPool,
  MemoryStorageProvider,
  openMemoryTransport,
  type StorageInstance,
  storageSuite,
} from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { without } from "./other-bases.ts";
import { over } from "./over-base.ts";

async function overThinProvisioning(config: Parameters<typeof createTestPool>[1] = {}): Promise<StorageInstance> {
  const test = await createTestPool("here", config);
  const folder = test.folder;
  writeFileSync(join(folder, "text.qcow2"), "json:{}");
  return over({
    provider: () => test.provider,
    hosts: ["host-a", "host-b"],
    openTransport: blockClientOf,
    reopen: () => test.reopen(),
    imagePath: (name) => join(folder, name),
    hostileImages: [{ path: join(folder, "text.qcow2"), format: "qcow2" }],
    small: () => overThinProvisioning({ capacityBytes: 16 * mib, maxOverSubscription: 10 }),
    dispose: async () => test[Symbol.asyncDispose](),
  });
}

async function overTheSimulator(
  options: ConstructorParameters<typeof SimulatedWorld>[0] = {},
): Promise<StorageInstance> {
  const world = new SimulatedWorld(options);
  const folder = mkdtempSync(join(tmpdir(), "vdc-clones-"));
  writeFileSync(join(folder, "foreign.qcow2"), "QFI\u00fb");
  return over({
    provider: () => world.storage(),
    hosts: ["host-1", "host-2"],
    openTransport: async (transport) => world.openTransport(transport),
    imagePath: (name) => join(folder, name),
    hostileImages: [{ path: join(folder, "foreign.qcow2"), format: "qcow2" }],
    killStorageProcess: async () => {},
    small: () => overTheSimulator({ pool: { totalBytes: 32 << 20, maxOverSubscription: 8 } }),
    dispose() {
      world.dispose();
      rmSync(folder, { recursive: true });
    },
  });
}

function overTheReference(
  options: { readonly totalBytes?: number; readonly lacks?: readonly string[] } = {},
): Promise<StorageInstance> {
  const pool = createMemoryPool(options.totalBytes);
  return over({
    provider: () => without(new MemoryStorageProvider(pool), options.lacks ?? []),
    hosts: ["host-a", "host-b"],
    openTransport: (transport) => openMemoryTransport(pool, transport),
    imagePath: (name) => `/images/${name}`,
    hostileImages: [{ path: "/hostile", format: "raw" }],
    killStorageProcess: async () => {},
    small: () => overTheReference({ ...options, totalBytes: 20 * 2 ** 20 }),
    nowMs: () => pool.nowMs,
    keyRefs: ["key-1", "key-2"],
  });
}

describe("over thin provisioning", () => {
  describeSuite(storageSuite, { create: () => overThinProvisioning() });
});

describe("over the simulator", () => {
  describeSuite(storageSuite, { create: () => overTheSimulator() });
});

describe("over the suite's reference", () => {
  describeSuite(storageSuite, { create: () => overTheReference() });
});

describe("over a provider that layers and has no snapshots", () => {
  const lacks = ["snapshots", "groupSnapshots", "clones", "lineage"];
  describeSuite(storageSuite, { transports: ["direct"], create: () => overTheReference({ lacks }) });
});

describe("over a provider that clones by itself and does not layer", () => {
  const lacks = ["layering", "lineage"];
  describeSuite(storageSuite, { transports: ["direct"], create: () => overTheReference({ lacks }) });
});
