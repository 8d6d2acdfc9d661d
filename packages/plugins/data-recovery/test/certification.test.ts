import { createOperationContext, type OperationContext } from "@vdc-os/core";
import type { BackupRepository } from "@vdc-os/core/backup/v1";
import { Kernel } from "@vdc-os/core/kernel";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import { blockClientOf, createTestPool, type TestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import { type BackupInstance, type BackupStorage, backupSuite } from "@vdc-os/ready/backup";
import { describeSuite } from "@vdc-os/ready/vitest";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { type OpenDataRecovery, openDataRecovery } from "../src/open-data-recovery.ts";
import { openBlockDevice, type OpenDevice } from "../src/source/block-device.ts";

/** A process of the data mover. Once it is dead, nothing that it does has an effect any more: in its folder, at storage providers, on disks. */
interface Process {
  readonly kernel: Kernel;
  readonly opened: OpenDataRecovery;
  isDead: boolean;
}

/** Thin volumes on disk, served over NBD, and a repository in a folder. */
async function create(): Promise<BackupInstance> {
  const folder = mkdtempSync(join(tmpdir(), "vdc-certify-"));
  const directory = join(folder, "repository");
  const pools: TestPool[] = [];
  const storageIn = async (name: string, change = (provider: StorageProvider) => provider): Promise<BackupStorage> => {
    const pool = await createTestPool("here");
    pools.push(pool);
    return { name, provider: change(pool.provider), host: "host-a", openTransport: blockClientOf };
  };
  const storages = [
    await storageIn("thin"),
    await storageIn("other"),
    await storageIn("plain", withoutFacets),
  ] as const;
  let now: number | undefined;
  const start = async (): Promise<Process> => {
    const kernel = new Kernel();
    const assertAlive = (): void => {
      if (process.isDead) throw new Error("its process is dead");
    };
    const openDevice: OpenDevice = async (transport, options) => {
      assertAlive();
      return mortal(await openBlockDevice(transport, options), assertAlive);
    };
    for (const { name, provider } of storages) kernel.provide(storageProvider, name, mortal(provider, assertAlive));
    const process = { kernel, isDead: false };
    await kernel.start();
    const storage = kernel.all(storageProvider);
    // Some progress is kept every MiB, so that there is something to go on with.
    const flushBytes = 1024 * 1024;
    const options = { directory, host: "host-b", storage, openDevice, onEffect: assertAlive, flushBytes };
    return Object.assign(process, { opened: await openDataRecovery(options) });
  };
  let running = await start();
  const implementationOf = ({ opened }: Process): BackupRepository => timed(opened.provider, () => now);
  const end = async ({ opened, kernel }: Process): Promise<void> => {
    await opened.close();
    await kernel.stop();
  };
  return {
    implementation: implementationOf(running),
    storage: storages[0],
    other: storages[1],
    plain: storages[2],
    async reopen() {
      running.isDead = true;
      await end(running);
      running = await start();
      return implementationOf(running);
    },
    async damage() {
      for (const pack of readdirSync(join(directory, "packs"))) {
        const path = join(directory, "packs", pack);
        writeFileSync(
          path,
          readFileSync(path).map((byte, at) => (at < 64 ? byte : byte ^ 0x55)),
        );
      }
    },
    setNow(wanted) {
      now = wanted;
    },
    async dispose() {
      await end(running);
      for (const pool of pools) await pool[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Storage that has nothing but what every provider has. */
function withoutFacets(provider: StorageProvider): StorageProvider {
  const describe: StorageProvider["describe"] = async (input, context) => {
    const description = await provider.describe(input, context);
    const unavailable = { status: "unavailable", reason: "it was left out", evidence: "of a test" } as const;
    return {
      ...description,
      facets: Object.fromEntries(Object.keys(description.facets).map((name) => [name, unavailable])),
    };
  };
  return new Proxy(provider, {
    get(target, name) {
      if (name === "facets") return {};
      if (name === "describe") return describe;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** What a process has at hand: its calls fail, before and after, once it is dead. */
function mortal<T extends object>(target: T, assertAlive: () => void): T {
  return new Proxy(target, {
    get(object, name) {
      const value: unknown = Reflect.get(object, name, object);
      if (typeof value === "object" && value !== null) return mortal(value, assertAlive);
      // What is open is closed by the end of a process too.
      if (typeof value !== "function" || name === "close")
        return typeof value === "function" ? value.bind(object) : value;
      return (...args: unknown[]) => {
        assertAlive();
        const result: unknown = Reflect.apply(value, object, args);
        if (!(result instanceof Promise)) return result;
        return result.finally(assertAlive);
      };
    },
  });
}

/** The repository by a clock that stands where it was set, if it was. */
function timed(provider: BackupRepository, now: () => number | undefined): BackupRepository {
  return new Proxy(provider, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (input: unknown, context: OperationContext) => {
        const at = now();
        return Reflect.apply(value, target, [input, at === undefined ? context : atTime(context, at)]);
      };
    },
  });
}

function atTime(context: OperationContext, at: number): OperationContext {
  const { clock, logger, random, signal, tenant } = context;
  const { monotonic, sleep, schedule } = clock;
  return createOperationContext(
    { signal, tenant, onProgress: (update) => context.progress(update) },
    { logger, random, clock: { monotonic, sleep, schedule, now: () => at } },
  );
}

describe("on thin volumes over NBD", () => {
  describeSuite(backupSuite, { create });
});
