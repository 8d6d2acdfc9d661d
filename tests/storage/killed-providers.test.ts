import { readdirSync } from "node:fs";
import { join } from "node:path";
import { definePlugin, provides } from "@vdc-os/core";
import { type HostRuntime, hostRuntime } from "@vdc-os/core/host/v1";
import { type PluginRegistration, use } from "@vdc-os/core/kernel";
import { stateStore } from "@vdc-os/core/state/v1";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import linkedClones from "@vdc-os/plugin-linked-clones";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import { blockClientOf, createTestPool, type TestPool } from "@vdc-os/plugin-thin-provisioning/test/test-pool";
import type { CertificationKit } from "@vdc-os/ready";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { type KillableStorageProvider, type StorageInstance, storageSuite } from "@vdc-os/ready/storage";
import { describePlugin } from "@vdc-os/ready/vitest";
import { describe } from "vitest";
import { startKillable } from "../certificates/killable-plugin.ts";

// Certificates of plugins that take long are issued in the deep run alone; what a kill in the middle of a call leaves of them is tried here.
const transports = ["direct"] as const;

/** The requirements that are tried: all of them in the deep run. */
const tried = (...some: readonly string[]): readonly string[] =>
  (process.env.VDC_DEEP === undefined ? some : [""]).map((name) => `storage.crash.${name}`);

/** The pool's hosts, as a kernel knows them. */
function hostsOf({ hosts }: TestPool): PluginRegistration {
  return use(
    definePlugin({
      name: "hosts-of-a-test",
      version: "1.0.0",
      core: "0.1",
      summary: "Serve volumes.",
      provides: hosts.map(({ name }) => provides(hostRuntime, { name })),
      setup(context) {
        for (const { name, runtime } of hosts) {
          context.provide(hostRuntime, runtime as unknown as HostRuntime, { name });
        }
      },
    }),
  );
}

/** A pool, and what is kept of it, as a kernel knows them. */
function belowOf({ provider }: TestPool): PluginRegistration {
  const state = new MemoryStateStore();
  return use(
    definePlugin({
      name: "below-of-a-test",
      version: "1.0.0",
      core: "0.1",
      summary: "Is cloned on.",
      provides: [provides(storageProvider, { name: "below" }), provides(stateStore, { name: "state" })],
      setup(context) {
        context.provide(storageProvider, provider, { name: "below" });
        context.provide(stateStore, state, { name: "state" });
      },
    }),
  );
}

interface Killed {
  readonly config: { readonly name: string } & Readonly<Record<string, unknown>>;
  readonly plugins: readonly PluginRegistration[];
  /** The folder of the pool. */
  readonly folder: string;
}

async function instanceOf(
  kit: CertificationKit,
  test: TestPool,
  killed: Killed,
  implementation: StorageProvider = test.provider,
): Promise<StorageInstance> {
  return {
    implementation,
    hosts: ["host-a", "host-b"],
    openTransport: blockClientOf,
    reopen: () => test.reopen(),
    async killable(): Promise<KillableStorageProvider> {
      const { name } = killed.config;
      const { implementation, kill } = await startKillable(kit, storageProvider, { name, ...killed });
      return {
        implementation,
        async kill() {
          await kill();
          return (await kit.start(storageProvider, killed)).implementation;
        },
        leftovers: () => ["volumes", "trash"].flatMap((folder) => readdirSync(join(killed.folder, folder))),
      };
    },
    dispose: async () => test[Symbol.asyncDispose](),
  };
}

describe.each(tried("create", "attach", "resize", "snapshot", "overlay"))("thin provisioning, %s", (only) => {
  describePlugin(storageSuite, {
    plugin: thinProvisioning,
    module: import.meta.resolve("@vdc-os/plugin-thin-provisioning"),
    async create(kit) {
      const test = await createTestPool("here");
      const folder = join(test.folder, "killed");
      return instanceOf(kit, test, { config: { name: "fast", directory: folder }, plugins: [hostsOf(test)], folder });
    },
    only,
    transports,
  });
});

describe.each(tried("delete", "snapshot", "group-snapshot", "clone"))(
  "linked clones over thin provisioning, %s",
  (only) => {
    describePlugin(storageSuite, {
      plugin: linkedClones,
      module: import.meta.resolve("@vdc-os/plugin-linked-clones"),
      async create(kit) {
        const test = await createTestPool("here");
        const config = { name: "clones", base: "below" };
        const plugins = [belowOf(test)];
        const { implementation } = await kit.start(storageProvider, { config: { ...config, name: "unused" }, plugins });
        return instanceOf(kit, test, { config, plugins, folder: join(test.folder, "pool") }, implementation);
      },
      only,
      transports,
    });
  },
);
