import { join } from "node:path";
import type { Handle } from "@vdc-os/core";
import { Kernel, use } from "@vdc-os/core/kernel";
import { secretStore } from "@vdc-os/core/secret/v1";
import { stateStore } from "@vdc-os/core/state/v1";
import { type StorageProvider, storageProvider } from "@vdc-os/core/storage/v1";
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import { MemoryStateStore } from "@vdc-os/ready/state";
import { afterEach, beforeEach } from "vitest";
import type { CsiStorageConfig } from "../src/config.ts";
import plugin from "../src/plugin.ts";
import { temporaryFolder } from "./csi-pair.ts";
import { type DriverAbilities, type ScriptedDriver, scriptedDriver } from "./scripted-driver.ts";

/** The plugin in a kernel, over drivers that do what a test says, anew for each test of the file. */
export interface PluginOverDriver {
  readonly socketOf: (name: string) => string;
  readonly driver: (name?: string, abilities?: DriverAbilities) => Promise<ScriptedDriver>;
  readonly open: (more?: Partial<CsiStorageConfig>) => Promise<Handle<StorageProvider>>;
  /** All that the plugin has put into the state store, as text. */
  readonly recorded: () => Promise<string>;
}

export function pluginOverDriver(): PluginOverDriver {
  let folder: ReturnType<typeof temporaryFolder>;
  let state: MemoryStateStore;
  const closers: (() => unknown)[] = [];

  beforeEach(() => {
    folder = temporaryFolder();
    state = new MemoryStateStore();
  });

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
    folder[Symbol.dispose]();
  });

  const socketOf = (name: string): string => join(folder.path, `${name}.sock`);

  async function driver(name = "csi", abilities: DriverAbilities = {}): Promise<ScriptedDriver> {
    const made = await scriptedDriver(socketOf(name), abilities);
    closers.push(() => made.stop());
    return made;
  }

  /** The plugin in a kernel, over a driver. */
  async function open(more: Partial<CsiStorageConfig> = {}): Promise<Handle<StorageProvider>> {
    const config: CsiStorageConfig = {
      name: "array",
      endpoint: { socket: socketOf("csi") },
      nodes: [{ host: "host-1" }],
      directory: join(folder.path, "volumes"),
      callTimeoutMs: 20_000,
      ...more,
    };
    const world = new SimulatedWorld();
    const secrets = world.secretStore();
    const kernel = new Kernel({ plugins: [use(plugin, { config })] });
    kernel.provide(stateStore, "state", state);
    kernel.provide(secretStore, "secrets", secrets);
    await kernel.get(secretStore).put({ name: "array-password", value: "hunter2" });
    await kernel.start();
    closers.push(async () => {
      await kernel.stop();
      world.dispose();
    });
    return kernel.get(storageProvider, "array");
  }

  async function recorded(): Promise<string> {
    const kernel = new Kernel();
    kernel.provide(stateStore, "state", state);
    await kernel.start();
    const { entries } = await kernel.get(stateStore).list({ prefix: "csi/" });
    await kernel.stop();
    return JSON.stringify(entries);
  }

  return { socketOf, driver, open, recorded };
}
