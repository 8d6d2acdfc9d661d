import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Description, definePlugin, provides } from "@vdc-os/core";
import { backupRepository } from "@vdc-os/core/backup/v1";
import { Kernel, type PluginRegistration, use } from "@vdc-os/core/kernel";
import { KernelProviders } from "@vdc-os/core/remote";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import thinProvisioning from "@vdc-os/plugin-thin-provisioning";
import type { CertificationKit } from "@vdc-os/ready";
import type { BackupInstance, BackupStorage } from "@vdc-os/ready/backup";
import { startKillable } from "./killable-plugin.ts";
import { openNbd } from "./nbd-block-client.ts";
import { startTwoHosts } from "./two-hosts.ts";

/** What the backup suite is run on: a repository in a process of its own, over thin pools that are served by processes of two hosts. */
export async function create(kit: CertificationKit): Promise<BackupInstance> {
  const hosts = await startTwoHosts(kit);
  const folder = kit.folder();
  const directory = join(folder, "repository");
  const names = ["thin", "other", "plain"];
  // The pools outlive the repository's process.
  const pools = new Kernel({
    plugins: [
      hosts.registration,
      ...names.map((name) => use(thinProvisioning, { id: name, config: { name, directory: join(folder, name) } })),
    ],
  });
  kit.defer(() => pools.stop().then(() => undefined));
  await pools.start();
  const below = new KernelProviders(pools, [storageProvider]);
  const providers = new Map(
    names.map((name) => {
      const provider = below.lookup(storageProvider.id, name)?.implementation as StorageProvider;
      return [name, name === "plain" ? withoutFacets(provider) : provider];
    }),
  );
  const now = join(folder, "now");
  const start = () =>
    startKillable(kit, backupRepository, {
      name: "recovery",
      // Some progress is kept every MiB, so that there is something to go on with.
      config: { name: "recovery", directory, host: hosts.names[1], flushBytes: 1024 * 1024 },
      plugins: [storages(providers)],
      env: { VDC_CERTIFY_NOW: now },
      execArgv: ["--import", import.meta.resolve("./settable-date.ts")],
    });
  let running = await start();
  const storageOf = (name: string): BackupStorage => ({
    name,
    provider: providers.get(name) as StorageProvider,
    host: hosts.names[0],
    openTransport: openNbd,
  });
  return {
    implementation: running.implementation,
    storage: storageOf("thin"),
    other: storageOf("other"),
    plain: storageOf("plain"),
    async reopen() {
      await running.kill();
      running = await start();
      return running.implementation;
    },
    async damage() {
      for (const pack of readdirSync(join(directory, "packs"))) {
        const path = join(directory, "packs", pack);
        const damaged = readFileSync(path).map((byte, at) => (at < 64 ? byte : byte ^ 0x55));
        writeFileSync(path, damaged);
      }
    },
    setNow: (wanted) => writeFileSync(now, String(wanted)),
  };
}

/** Has a kernel know the storage of another one. */
function storages(providers: ReadonlyMap<string, StorageProvider>): PluginRegistration {
  const plugin = definePlugin({
    name: "storages",
    version: "1.0.0",
    core: "0.1",
    summary: "What a plugin that is being certified works with.",
    provides: [...providers.keys()].map((name) => provides(storageProvider, { name })),
    setup(context) {
      for (const [name, provider] of providers) context.provide(storageProvider, provider, { name });
    },
  });
  return use(plugin);
}

/** Storage that has nothing but what every provider has. */
function withoutFacets(provider: StorageProvider): StorageProvider {
  const describe: StorageProvider["describe"] = async (input, context): Promise<Description> => {
    const description = await provider.describe(input, context);
    return { ...description, facets: {} };
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
