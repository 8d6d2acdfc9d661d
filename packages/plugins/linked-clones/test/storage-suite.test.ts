import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stateStore } from "@vdc-os/core/state/v1";
import { Kernel } from "@vdc-os/core/kernel";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { MemoryStorageProvider, openMemoryTransport, type StorageInstance, storageSuite } from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { blockClientOf, createTestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { openLinkedClones } from "../src/open-linked-clones.ts";

interface Below {
  readonly provider: () => StorageProvider;
  readonly reopen: () => Promise<unknown>;
  readonly dispose: () => Promise<void>;
  readonly openTransport: StorageInstance["openTransport"];
  readonly nowMs?: () => number;
  readonly imagePath: (name: string) => string;
}

/** The plugin over a provider: each opening is a kernel of its own over the same state. */
async function over(below: Below): Promise<StorageInstance> {
  const state = new MemoryStateStore();
  const kernels: Kernel[] = [];
  const open = async (): Promise<StorageProvider> => {
    const kernel = new Kernel();
    kernels.push(kernel);
    kernel.provide(storageProvider, "below", below.provider());
    kernel.provide(stateStore, "state", state);
    await kernel.start();
    return openLinkedClones({
      name: "clones",
      base: kernel.get(storageProvider, "below"),
      state: kernel.get(stateStore),
    });
  };
  return {
    implementation: await open(),
    hosts: ["host-a", "host-b"],
    openTransport: below.openTransport,
    ...(below.nowMs === undefined ? {} : { nowMs: below.nowMs }),
    imagePath: below.imagePath,
    hostileImages: [{ path: "/no-such-folder/../etc/passwd", format: "vmdk" }],
    reopen: async () => {
      await below.reopen();
      return open();
    },
    dispose: async () => {
      for (const kernel of kernels) await kernel.stop();
      await below.dispose();
    },
  };
}

describe("over thin provisioning", () => {
  describeSuite(storageSuite, {
    create: async () => {
      const test = await createTestPool("here");
      return over({
        provider: () => test.provider,
        reopen: () => test.reopen(),
        dispose: async () => test[Symbol.asyncDispose](),
        openTransport: blockClientOf,
        imagePath: (name) => join(test.folder, name),
      });
    },
  });
});

describe("over another provider that layers", () => {
  describeSuite(storageSuite, {
    transports: ["direct"],
    create: () => {
      const { pool } = new MemoryStorageProvider();
      const folder = mkdtempSync(join(tmpdir(), "vdc-suite-"));
      return over({
        provider: () => new MemoryStorageProvider(pool),
        reopen: async () => undefined,
        dispose: async () => rmSync(folder, { recursive: true }),
        openTransport: (transport) => openMemoryTransport(pool, transport),
        nowMs: () => pool.nowMs,
        imagePath: (name) => join(folder, name),
      });
    },
  });
});
