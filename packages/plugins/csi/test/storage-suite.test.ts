import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import { createTestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { type StorageInstance, storageSuite } from "@vdc-os/ready/storage";
import { describeSuite } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { openFile, openPair } from "./csi-pair.ts";
import { describeWithFuse } from "./fuse-tools.ts";
import { openSimulated, simulatedPresenter } from "./simulated-presenter.ts";

describe("our provider over our driver over the simulator", () => {
  describeSuite(storageSuite, {
    async create(): Promise<StorageInstance> {
      const world = new SimulatedWorld();
      const folder = mkdtempSync(join(tmpdir(), "vdc-csi-"));
      const hosts = ["host-1", "host-2"] as const;
      const pair = await openPair({ folder, hosts, below: () => world.storage(), presenter: simulatedPresenter });
      return {
        implementation: pair.provider,
        hosts,
        openTransport: (transport) => openSimulated(world, transport),
        reopen: () => pair.reopen(),
        async dispose() {
          await pair[Symbol.asyncDispose]();
          world.dispose();
          rmSync(folder, { recursive: true });
        },
      };
    },
  });
});

describeWithFuse("our provider over our driver over thin provisioning, as files", () => {
  describeSuite(storageSuite, {
    async create(): Promise<StorageInstance> {
      const pool = await createTestPool("here");
      const folder = mkdtempSync(join(tmpdir(), "vdc-csi-"));
      const hosts = ["host-a", "host-b"] as const;
      const pair = await openPair({ folder, hosts, below: () => pool.provider });
      const detachAll = async (): Promise<void> => {
        const context = { signal: AbortSignal.timeout(20_000) };
        for (const { volumeId } of await volumes()) {
          const { attachment } = await pair.handle.getAttachment({ volumeId }, context);
          if (attachment !== undefined) await pair.handle.detachVolume(attachment, context);
        }
      };
      const volumes = async () => (await pair.handle.listVolumes({})).items;
      return {
        implementation: pair.provider,
        hosts,
        openTransport: openFile,
        async reopen() {
          await pool.reopen();
          return pair.reopen();
        },
        async dispose() {
          await detachAll();
          await pair[Symbol.asyncDispose]();
          await pool[Symbol.asyncDispose]();
          rmSync(folder, { recursive: true });
        },
      };
    },
  });
});
